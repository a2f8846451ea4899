// Text of a log as the server shows it: the same classes from the same escapes. Everything else that
// commands a terminal is left out, and marks that turn the direction of writing are shown as what they
// are not.

const LOOKS = { 1: "b", 2: "f", 4: "u" };
const ENDS = { 22: ["b", "f"], 24: ["u"] };

export class Painter {
  looks = [];

  // A line without its end, as an element; a colour goes on until it is reset.
  line(line) {
    const span = document.createElement("span");
    const text = line.replace(/\r+$/, "").split("\r").at(-1)
      .replace(/\x1b\][^\x07\x1b]*(\x07|\x1b\\)?|\x1b\[[0-?]*[ -/]*[@-ln-~]|\x1b[^[\]]/g, "");
    for (const [, codes, plain] of text.matchAll(/\x1b\[([0-9;:]*)m|([^\x1b]+)|\x1b/g)) {
      if (codes !== undefined) this.choose(codes);
      if (!plain) continue;
      const shown = plain.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, "").replace(/[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
      if (!shown) continue;
      if (this.looks.length === 0) {
        span.append(shown);
        continue;
      }
      const part = document.createElement("span");
      part.className = this.looks.join(" ");
      part.textContent = shown;
      span.append(part);
    }
    return span;
  }

  choose(codes) {
    const numbers = codes.split(/[;:]/).map(Number);
    while (numbers.length > 0) {
      const code = numbers.shift();
      if (code === 0) this.looks = [];
      else if (LOOKS[code]) this.looks = [...new Set([...this.looks, LOOKS[code]])];
      else if (ENDS[code]) this.looks = this.looks.filter((look) => !ENDS[code].includes(look));
      else if (code === 39) this.colour();
      else if (code >= 30 && code <= 37) this.colour(code - 30);
      else if (code >= 90 && code <= 97) this.colour(code - 82);
      else if (code === 38 || code === 48) {
        // A colour out of 256 or by its parts: of the first sixteen there are names.
        const kind = numbers.shift();
        const named = kind === 5 ? numbers.shift() : numbers.splice(0, kind === 2 ? 3 : 0) && 16;
        if (code === 38 && kind === 5) this.colour(named < 16 ? named : undefined);
      }
    }
  }

  colour(number) {
    this.looks = this.looks.filter((look) => !look.startsWith("c"));
    if (number !== undefined) this.looks.push(`c${number}`);
  }
}

// Whether a line tells of an error: as the server says it.
export function tellsError(line) {
  const text = line.trimStart();
  return /^(==> ERROR:|error:|fatal error:|ERROR:|FAILED:|FAIL:|not ok |FATAL:|error\[)/.test(text)
    || /: error:|: fatal error:|: undefined reference to| Error |: error\[/.test(text)
    || (text.startsWith("make") && text.includes("***"));
}
