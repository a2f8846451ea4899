//! Decompression, by what a file begins with.

use std::io::{self, BufReader, Cursor, Read};

/// Memory a decompressor may take, in bytes. `xz -9` needs 65 MiB, and zstd
/// ends at 128 MiB by itself.
const MEMORY: u64 = 256 * 1024 * 1024;

const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const GZIP: &[u8] = &[0x1f, 0x8b];
const XZ: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z', 0];
const BZIP2: &[u8] = b"BZh";

/// Reads the decompressed bytes of a stream. Several frames or members one
/// after the other are one stream, as pacman has it. What begins like none of
/// zstd, gzip, xz and bzip2 is passed on as it is.
pub(crate) fn decompressed<'a>(mut source: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut start = Vec::with_capacity(XZ.len());
    source
        .by_ref()
        .take(XZ.len() as u64)
        .read_to_end(&mut start)?;
    let is = |magic: &[u8]| start.starts_with(magic);
    let (zstd, gzip, xz, bzip2) = (is(ZSTD), is(GZIP), is(XZ), is(BZIP2));
    let whole = BufReader::with_capacity(128 * 1024, Cursor::new(start).chain(source));
    Ok(if zstd {
        Box::new(zstd::stream::read::Decoder::with_buffer(whole)?)
    } else if gzip {
        Box::new(flate2::bufread::MultiGzDecoder::new(whole))
    } else if xz {
        let stream =
            liblzma::stream::Stream::new_stream_decoder(MEMORY, liblzma::stream::CONCATENATED)?;
        Box::new(liblzma::bufread::XzDecoder::new_stream(whole, stream))
    } else if bzip2 {
        Box::new(bzip2::bufread::MultiBzDecoder::new(whole))
    } else {
        Box::new(whole)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        decompressed(bytes)?.read_to_end(&mut out)?;
        Ok(out)
    }

    fn packed(text: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(text).unwrap();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 6);
        xz.write_all(text).unwrap();
        let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
        bzip2.write_all(text).unwrap();
        vec![
            ("zstd", zstd::stream::encode_all(text, 3).unwrap()),
            ("gzip", gzip.finish().unwrap()),
            ("xz", xz.finish().unwrap()),
            ("bzip2", bzip2.finish().unwrap()),
            ("none", text.to_vec()),
        ]
    }

    #[test]
    fn reads_every_form_and_several_in_a_row() {
        let (one, two) = (packed(b"first text"), packed(b"and the second"));
        for ((name, one), (_, two)) in one.into_iter().zip(two) {
            let out = read(&[one, two].concat()).unwrap();
            assert_eq!(out, b"first textand the second", "{name}");
        }
    }

    #[test]
    fn a_cut_stream_is_an_error() {
        for (name, bytes) in packed(&[7; 10_000]) {
            if name != "none" {
                assert!(read(&bytes[..bytes.len() - 3]).is_err(), "{name}");
            }
        }
        assert_eq!(read(b"").unwrap(), b"");
        assert_eq!(read(b"BZ").unwrap(), b"BZ");
    }

    #[test]
    fn xz_takes_no_more_memory_than_allowed() {
        let (_, mut xz) = packed(b"text").remove(2);
        assert_eq!(read(&xz).unwrap(), b"text");
        // The header of the first block: the size of the dictionary stands in
        // its byte 4, where 40 is 4 GiB, and the check sum behind byte 8.
        let block = &mut xz[12..24];
        assert_eq!(block[2..4], [0x21, 1], "the filter is not LZMA2");
        block[4] = 40;
        let mut sum = flate2::Crc::new();
        sum.update(&block[..8]);
        block[8..].copy_from_slice(&sum.sum().to_le_bytes());
        let error = read(&xz).unwrap_err();
        assert!(error.to_string().contains("memory"), "{error}");
    }
}
