//! The stabiliser: the brush hangs on a string behind the pointer, so that a shaky hand draws a calm line.
//!
//! The brush moves only while the string is taut, and always straight towards the pointer. Left out: averaging over
//! time, which would make the line depend on the frame rate.

/// A brush on a string.
#[derive(Clone, Copy, Debug)]
pub struct Steady {
    length_px: f32,
    at: Option<[f32; 2]>,
}

impl Steady {
    /// A string of this length in photo pixels; 0 ties the brush to the pointer.
    pub fn new(length_px: f32) -> Self {
        let length_px = length_px.max(0.0);
        Self {
            length_px,
            at: None,
        }
    }

    /// The pointer has moved: where the brush is now, or none when it has not moved.
    pub fn follow(&mut self, pointer: [f32; 2]) -> Option<[f32; 2]> {
        let Some(at) = self.at else {
            self.at = Some(pointer);
            return self.at;
        };
        let (dx, dy) = (pointer[0] - at[0], pointer[1] - at[1]);
        let distance = dx.hypot(dy);
        if distance <= self.length_px || distance == 0.0 {
            return None;
        }
        let part = (distance - self.length_px) / distance;
        self.at = Some([at[0] + part * dx, at[1] + part * dy]);
        self.at
    }

    /// Where the brush hangs.
    pub fn at(&self) -> Option<[f32; 2]> {
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_string_takes_up_what_the_hand_shakes() {
        let mut steady = Steady::new(10.0);
        assert_eq!(steady.follow([0.0, 0.0]), Some([0.0, 0.0]));
        assert_eq!(steady.follow([6.0, 8.0]), None, "not yet taut");
        assert_eq!(steady.follow([20.0, 0.0]), Some([10.0, 0.0]));
        let height = |steady: &Steady| steady.at().unwrap()[1].abs();
        let mut most = 0.0_f32;
        for i in 0..100 {
            let shake = if i % 2 == 0 { 3.0 } else { -3.0 };
            steady.follow([20.0 + i as f32, shake]);
            most = most.max(height(&steady));
        }
        assert!(most < 1.0, "{most}");
        assert!((steady.at().unwrap()[0] - 109.0).abs() < 1.0);
    }

    #[test]
    fn without_a_string_the_brush_is_the_pointer() {
        let mut steady = Steady::new(0.0);
        for point in [[1.0, 2.0], [5.0, 2.5], [4.0, 9.0]] {
            assert_eq!(steady.follow(point), Some(point));
        }
        assert_eq!(steady.follow([4.0, 9.0]), None);
    }
}
