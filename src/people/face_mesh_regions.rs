//! The three regions that the face mesh refines: which landmarks they hold and where they lie in the crop.
//!
//! Attention Mesh (Grishchenko et al. 2020), section 3: a region is a rectangle along the line between two of its
//! landmarks, around all of its landmarks, enlarged by half. The lists are those of the network itself.

/// One refined region.
pub(super) struct Region {
    /// Prefix of its weights.
    pub name: &'static str,
    /// Its landmarks, in the order in which its branch answers.
    pub points: &'static [usize],
    /// The region's x axis runs from the first of these landmarks to the second.
    pub axis: [usize; 2],
}

/// Both lips: outer and inner contours and two rows in between.
pub(super) static LIPS: Region = Region {
    name: "lips",
    points: &[
        61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409,
        78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415,
        76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306, 184, 74, 73, 72, 11, 302, 303, 304, 408,
        62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292, 183, 42, 41, 38, 12, 268, 271, 272, 407,
    ],
    axis: [61, 291],
};

/// The person's right eye with its brow and surroundings: eyelids first.
pub(super) static RIGHT_EYE: Region = Region {
    name: "r_eye",
    points: &[
        33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173, 130, 25, 110,
        24, 23, 22, 26, 112, 243, 247, 30, 29, 27, 28, 56, 190, 226, 31, 228, 229, 230, 231, 232,
        233, 244, 113, 225, 224, 223, 222, 221, 189, 35, 124, 46, 53, 52, 65, 143, 111, 117, 118,
        119, 120, 121, 128, 245, 156, 70, 63, 105, 66, 107, 55, 193,
    ],
    axis: [33, 133],
};

/// The person's left eye, mirrored.
pub(super) static LEFT_EYE: Region = Region {
    name: "l_eye",
    points: &[
        263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398, 359, 255,
        339, 254, 253, 252, 256, 341, 463, 467, 260, 259, 257, 258, 286, 414, 446, 261, 448, 449,
        450, 451, 452, 453, 464, 342, 445, 444, 443, 442, 441, 413, 265, 353, 276, 283, 282, 295,
        372, 340, 346, 347, 348, 349, 350, 357, 465, 383, 300, 293, 334, 296, 336, 285, 417,
    ],
    axis: [362, 263],
};

/// A rectangle at any angle: crop pixels = `origin + x·x_axis + y·y_axis` for x and y from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Frame {
    x_axis: [f32; 2],
    y_axis: [f32; 2],
    origin: [f32; 2],
}

impl Frame {
    /// From the unit square to crop pixels.
    pub fn apply(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let Self {
            x_axis,
            y_axis,
            origin,
        } = self;
        [
            origin[0] + x * x_axis[0] + y * y_axis[0],
            origin[1] + x * x_axis[1] + y * y_axis[1],
        ]
    }
}

impl Region {
    /// Where the region lies, given the mesh. `None` when the mesh has collapsed.
    pub fn frame(&self, mesh: &[[f32; 2]]) -> Option<Frame> {
        /// How much larger than its landmarks the region is.
        const MARGIN: f32 = 1.5;
        let [[x0, y0], [x1, y1]] = [*mesh.get(self.axis[0])?, *mesh.get(self.axis[1])?];
        let length = (x1 - x0).hypot(y1 - y0);
        if length <= 0.0 || !length.is_finite() {
            return None;
        }
        let along = [(x1 - x0) / length, (y1 - y0) / length];
        let across = [-along[1], along[0]];
        let dot = |a: [f32; 2], b: [f32; 2]| a[0] * b[0] + a[1] * b[1];
        let mut low = [f32::INFINITY; 2];
        let mut high = [f32::NEG_INFINITY; 2];
        for &index in self.points {
            let point = *mesh.get(index)?;
            let local = [dot(point, along), dot(point, across)];
            for ((low, high), value) in low.iter_mut().zip(&mut high).zip(local) {
                *low = low.min(value);
                *high = high.max(value);
            }
        }
        let size = [(high[0] - low[0]) * MARGIN, (high[1] - low[1]) * MARGIN];
        let center = [0.5 * (low[0] + high[0]), 0.5 * (low[1] + high[1])];
        let corner = [center[0] - 0.5 * size[0], center[1] - 0.5 * size[1]];
        Some(Frame {
            x_axis: [along[0] * size[0], along[1] * size[0]],
            y_axis: [across[0] * size[1], across[1] * size[1]],
            origin: [
                corner[0] * along[0] + corner[1] * across[0],
                corner[0] * along[1] + corner[1] * across[1],
            ],
        })
    }
}
