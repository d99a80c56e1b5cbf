//! The place where people walk: a picture, a homography between it and the world, and which ground can be walked on.
//! Each of the three may be missing.
//!
//! Convention of the ETH/UCY homographies: `[X, Y, W] = H · [u, v, 1]`, world = (X/W, Y/W), u the column and v the row of
//! a pixel. Left out: the order (row, column) of ETH's own H.txt, and lens distortion.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::Point;
use crate::photo;
use crate::raster::{Grid, Rgb};

/// Picture, homography and walkable ground.
#[derive(Clone, Debug, Default)]
pub struct Scene {
    pub picture: Option<Rgb>,
    /// Without one, tracks are in pixels of the picture.
    pub homography: Option<Homography>,
    /// True where one can walk; covers the same ground as the picture, at its own size.
    pub walkable: Option<Grid<bool>>,
}

/// A projective map between pixels and the ground, with its inverse.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Homography {
    world_from_pixel: [[f64; 3]; 3],
    pixel_from_world: [[f64; 3]; 3],
}

impl Homography {
    /// From the matrix that takes pixels to the world.
    ///
    /// # Errors
    /// When it has no inverse, or numbers that are none.
    pub fn new(world_from_pixel: [[f64; 3]; 3]) -> Result<Self> {
        let m = world_from_pixel;
        ensure!(
            m.iter().flatten().all(|v| v.is_finite()),
            "The homography has a number that is none"
        );
        let minor = |r: usize, c: usize| {
            let (r1, r2, c1, c2) = ((r + 1) % 3, (r + 2) % 3, (c + 1) % 3, (c + 2) % 3);
            m[r1][c1] * m[r2][c2] - m[r1][c2] * m[r2][c1]
        };
        let determinant: f64 = (0..3).map(|c| m[0][c] * minor(0, c)).sum();
        let size: f64 = m.iter().flatten().map(|v| v * v).sum::<f64>().sqrt();
        ensure!(
            determinant.abs() > 1e-15 * size.powi(3),
            "The homography has no inverse"
        );
        let mut inverse = [[0.0; 3]; 3];
        for (r, row) in inverse.iter_mut().enumerate() {
            for (c, value) in row.iter_mut().enumerate() {
                *value = minor(c, r) / determinant;
            }
        }
        Ok(Self {
            world_from_pixel,
            pixel_from_world: inverse,
        })
    }

    /// Reads nine numbers in three rows.
    ///
    /// # Errors
    /// Not nine numbers, or no inverse.
    pub fn parse(text: &str) -> Result<Self> {
        let words: Vec<&str> = text.split_whitespace().take(10).collect();
        ensure!(
            words.len() == 9,
            "A homography is nine numbers in three rows"
        );
        let mut matrix = [[0.0; 3]; 3];
        for (value, word) in matrix.iter_mut().flatten().zip(words) {
            *value = word
                .parse()
                .with_context(|| format!("`{word}` is no number"))?;
        }
        Self::new(matrix)
    }

    /// The matrix that takes pixels to the world, for those who apply it themselves.
    pub fn world_from_pixel(&self) -> [[f64; 3]; 3] {
        self.world_from_pixel
    }

    /// The point of the ground that a pixel (column, row) shows.
    pub fn to_world(&self, pixel: Point) -> Point {
        apply(&self.world_from_pixel, pixel)
    }

    /// The pixel (column, row) that shows a point of the ground.
    pub fn to_pixel(&self, world: Point) -> Point {
        apply(&self.pixel_from_world, world)
    }
}

fn apply(m: &[[f64; 3]; 3], p: Point) -> Point {
    let [x, y, w] = m.map(|row| row[0] * p[0] + row[1] * p[1] + row[2]);
    [x / w, y / w]
}

impl Scene {
    /// Reads what is named.
    ///
    /// # Errors
    /// A file that cannot be read as what it should be; the message names it.
    pub fn open(
        picture: Option<&Path>,
        homography: Option<&Path>,
        walkable: Option<&Path>,
    ) -> Result<Self> {
        let picture = match picture {
            Some(path) => Some(photo::open(path)?.rgb),
            None => None,
        };
        let homography = match homography {
            Some(path) => {
                let read = || -> Result<Homography> {
                    ensure!(
                        std::fs::metadata(path)?.len() < 65_536,
                        "A homography is nine numbers in three rows"
                    );
                    Homography::parse(&std::fs::read_to_string(path)?)
                };
                let read = read();
                Some(read.with_context(|| {
                    format!("Failed to read a homography from {}", path.display())
                })?)
            }
            None => None,
        };
        let walkable = match walkable {
            Some(path) => Some(mask_of(&photo::open(path)?.rgb)),
            None => None,
        };
        Ok(Self {
            picture,
            homography,
            walkable,
        })
    }

    /// Reads `reference.jpg`, `H_pixel_to_world.txt` and `walkable.png` of a folder, as far as they are there.
    ///
    /// # Errors
    /// As for [`Scene::open`], or when there is none of them.
    pub fn open_folder(folder: &Path) -> Result<Self> {
        let there = |name: &str| Some(folder.join(name)).filter(|path| path.exists());
        let picture = there("reference.jpg").or_else(|| there("reference.png"));
        let (homography, walkable) = (there("H_pixel_to_world.txt"), there("walkable.png"));
        ensure!(
            picture.is_some() || homography.is_some() || walkable.is_some(),
            "A scene is a folder with reference.jpg, H_pixel_to_world.txt or walkable.png; there is none in {}",
            folder.display()
        );
        Self::open(
            picture.as_deref(),
            homography.as_deref(),
            walkable.as_deref(),
        )
    }

    /// Pixel of the picture for a point of the tracks.
    pub fn to_pixel(&self, world: Point) -> Point {
        self.homography.map_or(world, |h| h.to_pixel(world))
    }

    /// Point of the tracks for a pixel of the picture.
    pub fn to_world(&self, pixel: Point) -> Point {
        self.homography.map_or(pixel, |h| h.to_world(pixel))
    }

    /// Whether one can walk at a point of the tracks; none outside of the mask, or when there is no mask.
    pub fn is_walkable(&self, world: Point) -> Option<bool> {
        let mask = self.walkable.as_ref()?;
        let mut pixel = self.to_pixel(world);
        if let Some(picture) = &self.picture {
            pixel[0] *= mask.width as f64 / picture.width as f64;
            pixel[1] *= mask.height as f64 / picture.height as f64;
        }
        // A point on the horizon has no pixel; the comparison is false for it.
        let is_inside = pixel[0] >= 0.0 && pixel[1] >= 0.0;
        is_inside
            .then(|| mask.get(pixel[0] as usize, pixel[1] as usize).copied())
            .flatten()
    }
}

/// A mask file is 0 where nobody walks; ETH/UCY's have 1 elsewhere, drawn ones 255.
fn mask_of(rgb: &Rgb) -> Grid<bool> {
    let mut grid = Grid::new(rgb.width, rgb.height, false);
    for (cell, pixel) in grid.data.iter_mut().zip(rgb.pixels()) {
        *cell = pixel.iter().any(|&v| v > 0);
    }
    grid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_go_to_the_ground_and_back() {
        let h = Homography::parse("0.02 0.001 -0.5\n0.0005 -0.025 14\n1e-5 1e-4 1\n").unwrap();
        for pixel in [[0.0, 0.0], [640.0, 12.5], [100.0, 479.0]] {
            let back = h.to_pixel(h.to_world(pixel));
            assert!(super::super::distance(back, pixel) < 1e-9, "{back:?}");
        }
        assert!((h.to_world([0.0, 0.0])[1] - 14.0).abs() < 1e-12);
    }

    #[test]
    fn a_homography_without_inverse_is_refused() {
        assert!(
            Homography::parse("1 2 3 2 4 6 0 0 1")
                .unwrap_err()
                .to_string()
                .contains("no inverse")
        );
        assert!(
            Homography::parse("1 2 3")
                .unwrap_err()
                .to_string()
                .contains("nine numbers")
        );
        assert!(Homography::parse("1 0 0 0 x 0 0 0 1").is_err());
        assert!(Homography::parse("1 0 0 0 inf 0 0 0 1").is_err());
    }

    #[test]
    fn ground_outside_of_the_mask_is_unknown() {
        let mut walkable = Grid::new(4, 2, true);
        walkable.set(3, 0, false);
        let scene = Scene {
            walkable: Some(walkable),
            homography: Some(
                Homography::new([[0.5, 0.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 1.0]]).unwrap(),
            ),
            picture: Some(Rgb::new(8, 4, [0; 3])),
        };
        // The mask has half the picture's side, the world half its numbers: one cell is one unit.
        assert_eq!(scene.is_walkable([0.5, 0.5]), Some(true));
        assert_eq!(scene.is_walkable([3.5, 0.5]), Some(false));
        assert_eq!(scene.is_walkable([4.5, 0.5]), None);
        assert_eq!(scene.is_walkable([-0.5, 0.5]), None);
        assert_eq!(Scene::default().is_walkable([0.0, 0.0]), None);
    }
}
