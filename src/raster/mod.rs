//! Pixel buffers and the geometry between them.
//!
//! Pixel centres are at +0.5: pixel (i, j) covers `[i, i+1) × [j, j+1)`. Every transform acts on
//! these continuous coordinates, so a similarity holds for points, boxes and pixels alike.
//!
//! Left out: colour management, 16-bit and alpha (see [`crate::photo`]), transforms with shear.

mod geometry;
mod shrink;
mod tensor;
mod warp;

pub use geometry::{Rect, Similarity};
pub use tensor::{grid_to_tensor, labels_to_tensor, rgb_to_tensor, rgbs_to_tensor, tensor_to_rgb};
pub use warp::{resize_labels, resize_rgb, warp_grid, warp_labels, warp_rgb, warp_rgb_for_network};

use anyhow::{Result, ensure};

/// A row-major grid of values, `width` × `height`.
///
/// `data.len() == width * height` holds for every grid made by the functions here.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid<T> {
    pub width: usize,
    pub height: usize,
    pub data: Vec<T>,
}

impl<T: Clone> Grid<T> {
    /// A grid filled with one value.
    pub fn new(width: usize, height: usize, fill: T) -> Self {
        Self {
            width,
            height,
            data: vec![fill; width * height],
        }
    }

    /// A copy of the part of `rect` that lies inside.
    pub fn crop(&self, rect: Rect) -> Self {
        let rect = rect.intersect(self.bounds());
        let mut data = Vec::with_capacity(rect.area());
        for y in rect.y..rect.bottom() {
            data.extend_from_slice(&self.row(y)[rect.x..rect.right()]);
        }
        Self {
            width: rect.width,
            height: rect.height,
            data,
        }
    }

    /// Mirrored left to right.
    pub fn flipped(&self) -> Self {
        let data = self
            .rows()
            .flat_map(|row| row.iter().rev().cloned())
            .collect();
        Self { data, ..*self }
    }
}

impl<T> Grid<T> {
    /// Wraps row-major values.
    ///
    /// # Errors
    /// When there are not exactly `width * height` of them.
    pub fn from_vec(width: usize, height: usize, data: Vec<T>) -> Result<Self> {
        ensure!(
            width.checked_mul(height) == Some(data.len()),
            "{} values do not fill a grid of {width} × {height}",
            data.len()
        );
        Ok(Self {
            width,
            height,
            data,
        })
    }

    /// The value at column `x`, row `y`, or none outside.
    pub fn get(&self, x: usize, y: usize) -> Option<&T> {
        if x < self.width {
            self.data.get(y * self.width + x)
        } else {
            None
        }
    }

    /// Sets one value; outside it does nothing.
    pub fn set(&mut self, x: usize, y: usize, value: T) {
        if x < self.width
            && let Some(cell) = self.data.get_mut(y * self.width + x)
        {
            *cell = value;
        }
    }

    /// Row `y`; empty when `y` is past the last one.
    pub fn row(&self, y: usize) -> &[T] {
        self.data
            .get(y * self.width..(y + 1) * self.width)
            .unwrap_or(&[])
    }

    /// Row `y` to write to; empty when `y` is past the last one.
    pub fn row_mut(&mut self, y: usize) -> &mut [T] {
        self.data
            .get_mut(y * self.width..(y + 1) * self.width)
            .unwrap_or(&mut [])
    }

    /// All rows from the top.
    pub fn rows(&self) -> impl Iterator<Item = &[T]> {
        self.data.chunks_exact(self.width.max(1))
    }

    /// The whole grid as a rectangle.
    pub fn bounds(&self) -> Rect {
        Rect::whole(self.width, self.height)
    }

    /// A grid of the same size with every value mapped.
    pub fn map<U>(&self, each: impl FnMut(&T) -> U) -> Grid<U> {
        Grid {
            width: self.width,
            height: self.height,
            data: self.data.iter().map(each).collect(),
        }
    }
}

/// An interleaved 8-bit sRGB picture; `data.len() == width * height * 3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rgb {
    pub width: usize,
    pub height: usize,
    pub data: Vec<u8>,
}

impl Rgb {
    /// A picture of one colour.
    pub fn new(width: usize, height: usize, fill: [u8; 3]) -> Self {
        Self {
            width,
            height,
            data: fill.repeat(width * height),
        }
    }

    /// Wraps interleaved bytes.
    ///
    /// # Errors
    /// When there are not exactly `width * height * 3` of them.
    pub fn from_vec(width: usize, height: usize, data: Vec<u8>) -> Result<Self> {
        ensure!(
            width.checked_mul(height).and_then(|n| n.checked_mul(3)) == Some(data.len()),
            "{} bytes do not fill a picture of {width} × {height}",
            data.len()
        );
        Ok(Self {
            width,
            height,
            data,
        })
    }

    /// The colour at column `x`, row `y`, or none outside.
    pub fn get(&self, x: usize, y: usize) -> Option<[u8; 3]> {
        if x >= self.width {
            return None;
        }
        let at = (y * self.width + x) * 3;
        self.data.get(at..at + 3)?.try_into().ok()
    }

    /// Sets one colour; outside it does nothing.
    pub fn set(&mut self, x: usize, y: usize, colour: [u8; 3]) {
        let at = (y * self.width + x) * 3;
        if x < self.width
            && let Some(pixel) = self.data.get_mut(at..at + 3)
        {
            pixel.copy_from_slice(&colour);
        }
    }

    /// Row `y` as bytes; empty when `y` is past the last one.
    pub fn row(&self, y: usize) -> &[u8] {
        let stride = self.width * 3;
        self.data.get(y * stride..(y + 1) * stride).unwrap_or(&[])
    }

    /// Row `y` as bytes to write to; empty when `y` is past the last one.
    pub fn row_mut(&mut self, y: usize) -> &mut [u8] {
        let stride = self.width * 3;
        self.data
            .get_mut(y * stride..(y + 1) * stride)
            .unwrap_or(&mut [])
    }

    /// The pixels in row-major order.
    pub fn pixels(&self) -> impl Iterator<Item = [u8; 3]> + '_ {
        self.data.chunks_exact(3).map(|p| [p[0], p[1], p[2]])
    }

    /// The whole picture as a rectangle.
    pub fn bounds(&self) -> Rect {
        Rect::whole(self.width, self.height)
    }

    /// A copy of the part of `rect` that lies inside.
    pub fn crop(&self, rect: Rect) -> Self {
        let rect = rect.intersect(self.bounds());
        let mut data = Vec::with_capacity(rect.area() * 3);
        for y in rect.y..rect.bottom() {
            data.extend_from_slice(&self.row(y)[rect.x * 3..rect.right() * 3]);
        }
        Self {
            width: rect.width,
            height: rect.height,
            data,
        }
    }

    /// Writes `patch` with its top left corner at (`x`, `y`); what falls outside is dropped.
    pub fn paste(&mut self, patch: &Rgb, x: usize, y: usize) {
        let columns = patch.width.min(self.width.saturating_sub(x));
        for row in 0..patch.height.min(self.height.saturating_sub(y)) {
            self.row_mut(y + row)[x * 3..(x + columns) * 3]
                .copy_from_slice(&patch.row(row)[..columns * 3]);
        }
    }

    /// Mirrored left to right.
    pub fn flipped(&self) -> Self {
        let stride = self.width.max(1) * 3;
        let mut data = self.data.clone();
        for row in data.chunks_exact_mut(stride) {
            row.as_chunks_mut::<3>().0.reverse();
        }
        Self { data, ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_check_their_size_and_edges() {
        assert!(Grid::from_vec(2, 2, vec![1, 2, 3]).is_err());
        let mut grid = Grid::from_vec(3, 2, vec![0, 1, 2, 3, 4, 5]).unwrap();
        assert_eq!(grid.get(2, 1), Some(&5));
        // Column 3 of row 0 must not read row 1.
        assert_eq!(grid.get(3, 0), None);
        grid.set(3, 0, 9);
        assert_eq!(grid.row(1), [3, 4, 5]);
        assert_eq!(grid.row(2), [0; 0]);
        assert_eq!(grid.flipped().data, [2, 1, 0, 5, 4, 3]);
        let part = grid.crop(Rect::new(1, 1, 10, 10));
        assert_eq!((part.width, part.height, part.data), (2, 1, vec![4, 5]));
    }

    #[test]
    fn pictures_crop_paste_and_flip() {
        let mut picture = Rgb::new(4, 3, [1, 2, 3]);
        picture.paste(&Rgb::new(3, 3, [9, 8, 7]), 2, 1);
        assert_eq!(picture.get(1, 1), Some([1, 2, 3]));
        assert_eq!(picture.get(2, 1), Some([9, 8, 7]));
        assert_eq!(picture.get(3, 2), Some([9, 8, 7]));
        assert_eq!(picture.get(3, 0), Some([1, 2, 3]));
        assert_eq!(picture.get(4, 0), None);
        let part = picture.crop(Rect::new(1, 1, 2, 1));
        assert_eq!(part.data, [1, 2, 3, 9, 8, 7]);
        assert_eq!(part.flipped().data, [9, 8, 7, 1, 2, 3]);
        assert!(Rgb::from_vec(2, 2, vec![0; 11]).is_err());
    }
}
