// Makes a part of a page like one that was fetched, and touches only what is different: what somebody
// reads, points at or fills in stays as it is.

// These stay whole while they are about the same thing.
const WHOLE = ".map, pre.log, input, select, textarea";

// Of these only the content follows: scripts or people changed their shape.
const SHAPED = ".graph, .graph > svg, .graph-tools, details, button";

function key(node) {
  if (node.nodeType !== Node.ELEMENT_NODE) return "";
  const { build, names, architecture, run } = node.dataset;
  const view = node.matches(".graph") ? node.firstElementChild.getAttribute("viewBox") : undefined;
  const about = node.getAttribute("aria-labelledby") ?? undefined;
  return [node.id || undefined, about, build, names, architecture, run, view].filter((part) => part !== undefined).join(" ");
}

export function morph(old, next) {
  if (old.isEqualNode(next)) return;
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.nodeValue = next.nodeValue;
    return;
  }
  if (old.matches(WHOLE)) return;
  if (!old.matches(SHAPED)) attributes(old, next);
  children(old, next);
}

function attributes(old, next) {
  for (const { name } of [...old.attributes]) if (!next.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of next.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
}

function children(old, next) {
  const known = new Map([...old.children].map((child) => [key(child), child]));
  let at = old.firstChild;
  for (const wanted of [...next.childNodes]) {
    const name = key(wanted);
    const fits = at && at.nodeType === wanted.nodeType && at.nodeName === wanted.nodeName && key(at) === name;
    const found = fits ? at : name && known.get(name);
    if (!found || found.nodeName !== wanted.nodeName) {
      old.insertBefore(wanted, at);
      continue;
    }
    if (found === at) at = at.nextSibling;
    else old.insertBefore(found, at);
    morph(found, wanted);
  }
  while (at) {
    const after = at.nextSibling;
    at.remove();
    at = after;
  }
}
