//! Reads portable grey maps (PGM), plain (`P2`) and raw (`P5`), with one or two bytes per pixel.
//! Format: <https://netpbm.sourceforge.net/doc/pgm.html>. Only the first image of a file is read.

/// Most pixels of an image: 16 km x 16 km at 1 m, or 800 m x 800 m at 5 cm.
pub const MAX_PIXELS: usize = 1 << 28;

/// A greyscale image.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pgm {
    /// Pixels per row.
    pub(super) width: usize,
    /// Number of rows.
    pub(super) height: usize,
    /// The value of a white pixel.
    pub(super) white: u16,
    /// Values, row by row from the top.
    pub(super) pixels: Vec<u16>,
}

/// Why bytes are not a supported PGM image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PgmError {
    /// The file does not begin with P2 or P5.
    #[error("begins with {got:?}, expected P2 or P5")]
    Magic {
        /// What was found.
        got: String,
    },
    /// A number of the header or a plain pixel is missing or out of range.
    #[error("{what} at byte {offset}: expected a number from {min} to {max}, got {got:?}")]
    Number {
        /// The name of the number.
        what: &'static str,
        /// Byte position in the file, from 0.
        offset: usize,
        /// Smallest accepted value.
        min: usize,
        /// Largest accepted value.
        max: usize,
        /// What was found.
        got: String,
    },
    /// More than [`MAX_PIXELS`] pixels.
    #[error("{width} x {height} pixels, more than {MAX_PIXELS}")]
    TooLarge {
        /// Pixels per row.
        width: usize,
        /// Number of rows.
        height: usize,
    },
    /// The file has fewer pixels than its header states.
    #[error("ends early: {expected} bytes of pixels expected, got {got}")]
    Short {
        /// Bytes that the pixels need.
        expected: usize,
        /// What was found.
        got: usize,
    },
}

impl Pgm {
    /// Parses a file.
    ///
    /// # Errors
    /// [`PgmError`].
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, PgmError> {
        let mut header = Words { bytes, at: 0 };
        let magic = header.next();
        let raw = match magic {
            b"P5" => true,
            b"P2" => false,
            other => return Err(PgmError::Magic { got: shown(other) }),
        };
        let width = header.number("width", 1, MAX_PIXELS)?;
        let height = header.number("height", 1, MAX_PIXELS)?;
        let white = header.number("highest value", 1, usize::from(u16::MAX))? as u16;
        let count =
            width.checked_mul(height).filter(|&n| n <= MAX_PIXELS).ok_or(PgmError::TooLarge { width, height })?;
        // A plain pixel takes at least two bytes, a blank and a digit. The check avoids memory for pixels that are missing.
        let wide = if raw { 1 + usize::from(white > 255) } else { 2 };
        // Exactly one blank ends the header of a raw image.
        let start = (header.at + 1).min(bytes.len());
        let (expected, got) = (count * wide, bytes.len() - start + usize::from(!raw));
        if got < expected {
            return Err(PgmError::Short { expected, got });
        }
        let pixels = if !raw {
            (0..count)
                .map(|_| header.number("pixel", 0, usize::from(white)).map(|v| v as u16))
                .collect::<Result<_, _>>()?
        } else if wide == 2 {
            bytes[start..start + expected].chunks_exact(2).map(|b| u16::from_be_bytes([b[0], b[1]])).collect()
        } else {
            bytes[start..start + expected].iter().map(|&b| u16::from(b)).collect()
        };
        Ok(Self { width, height, white, pixels })
    }
}

/// Words between blanks. `#` begins a comment that ends with the line.
struct Words<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Words<'a> {
    /// The next word; empty at the end.
    fn next(&mut self) -> &'a [u8] {
        while let Some(&byte) = self.bytes.get(self.at) {
            if byte == b'#' {
                self.skip_while(|b| b != b'\n' && b != b'\r');
            } else if byte.is_ascii_whitespace() {
                self.at += 1;
            } else {
                break;
            }
        }
        let start = self.at;
        self.skip_while(|b| !b.is_ascii_whitespace() && b != b'#');
        &self.bytes[start..self.at]
    }

    fn skip_while(&mut self, wanted: impl Fn(u8) -> bool) {
        while self.bytes.get(self.at).is_some_and(|&b| wanted(b)) {
            self.at += 1;
        }
    }

    fn number(&mut self, what: &'static str, min: usize, max: usize) -> Result<usize, PgmError> {
        let word = self.next();
        let offset = self.at - word.len();
        let number = std::str::from_utf8(word).ok().and_then(|word| word.parse::<usize>().ok());
        number.filter(|n| (min..=max).contains(n)).ok_or_else(|| PgmError::Number {
            what,
            offset,
            min,
            max,
            got: shown(word),
        })
    }
}

/// The beginning of a word, for messages.
fn shown(word: &[u8]) -> String {
    String::from_utf8_lossy(&word[..word.len().min(16)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_raw_and_two_byte_images_are_read() {
        let plain = Pgm::parse(b"P2 # by hand\n3 2\n# white\n255\n0 127 255\n9 8 7\n").unwrap();
        assert_eq!((plain.width, plain.height, plain.white), (3, 2, 255));
        assert_eq!(plain.pixels, [0, 127, 255, 9, 8, 7]);
        // The first pixel of the raw image is a newline (10): only one blank belongs to the header.
        let raw = Pgm::parse(b"P5\n2 1\n255\n\n\x07").unwrap();
        assert_eq!(raw.pixels, [10, 7]);
        // 0x0102 = 258, most significant byte first.
        assert_eq!(Pgm::parse(b"P5 2 1 65535 \x01\x02\xff\xff").unwrap().pixels, [258, 65535]);
        assert_eq!(Pgm::parse(b"P2 1 1 1 1").unwrap().pixels, [1]);
    }

    #[test]
    fn a_malformed_image_is_refused_with_the_byte_position() {
        for (bytes, message) in [
            (&b"P6 1 1 255 \0\0\0"[..], "begins with \"P6\", expected P2 or P5"),
            (b"", "begins with \"\", expected P2 or P5"),
            (b"P5 0 1 255 \0", "width at byte 3: expected a number from 1 to 268435456, got \"0\""),
            (b"P5 1 x 255 \0", "height at byte 5: expected a number from 1 to 268435456, got \"x\""),
            (b"P2 2 1 9 1 10", "pixel at byte 11: expected a number from 0 to 9, got \"10\""),
            (b"P5 2 2 255 \0\0\0", "ends early: 4 bytes of pixels expected, got 3"),
            (b"P5 2 2 255", "ends early: 4 bytes of pixels expected, got 0"),
            (b"P5 268435456 268435456 255 ", "268435456 x 268435456 pixels, more than 268435456"),
            (b"P2 30000 8000 1 1", "ends early: 480000000 bytes of pixels expected, got 2"),
        ] {
            assert_eq!(Pgm::parse(bytes).unwrap_err().to_string(), message);
        }
    }
}
