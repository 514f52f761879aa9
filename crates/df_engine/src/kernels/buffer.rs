//! A buffer of numbers that starts on a cache line, so that vector loads from it never straddle two lines.

use std::ops::{Deref, DerefMut};

/// Values in a cache line of 64 bytes.
const LINE: usize = 16;

/// A slice of `f32` that starts on a cache line. It lives across calls and allocates only to grow.
#[derive(Default)]
pub(crate) struct Buffer {
    store: Vec<f32>,
    start: usize,
    length: usize,
}

impl Buffer {
    /// A buffer of zeros.
    pub(crate) fn zeros(length: usize) -> Self {
        let mut buffer = Self::default();
        buffer.resize(length);
        buffer
    }

    /// Sets the length. The contents are then unspecified: values of earlier uses, or zeros.
    pub(crate) fn resize(&mut self, length: usize) {
        if self.start + length > self.store.len() {
            self.store = vec![0.0; length + LINE - 1];
            // `align_offset` may decline to answer; the buffer is then not aligned, and still correct.
            let start = self.store.as_ptr().align_offset(LINE * size_of::<f32>());
            self.start = if start < LINE { start } else { 0 };
        }
        self.length = length;
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.store[self.start..self.start + self.length]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.store[self.start..self.start + self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_starts_on_a_cache_line_and_keeps_its_place_when_it_shrinks() {
        let mut buffer = Buffer::zeros(100);
        let place = buffer.as_ptr();
        assert_eq!(place as usize % 64, 0);
        buffer[99] = 1.0;
        buffer.resize(10);
        assert_eq!((buffer.len(), buffer.as_ptr()), (10, place));
        buffer.resize(100);
        assert_eq!((buffer[99], buffer.as_ptr()), (1.0, place));
        buffer.resize(1000);
        assert_eq!((buffer.len(), buffer.as_ptr() as usize % 64), (1000, 0));
    }
}
