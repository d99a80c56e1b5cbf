//! Rectangles of whole pixels, and similarity transforms.

/// A rectangle of whole pixels; the right and bottom edges are outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rect {
    pub x: usize,
    pub y: usize,
    pub width: usize,
    pub height: usize,
}

impl Rect {
    /// A rectangle from its top left corner and size.
    pub fn new(x: usize, y: usize, width: usize, height: usize) -> Self {
        Self {
            x,
            y,
            width,
            height,
        }
    }

    /// All of a `width` × `height` raster.
    pub fn whole(width: usize, height: usize) -> Self {
        Self::new(0, 0, width, height)
    }

    /// The smallest rectangle covering both corners `[x0, x1) × [y0, y1)`; empty when they cross.
    pub fn from_edges(x0: usize, y0: usize, x1: usize, y1: usize) -> Self {
        Self::new(x0, y0, x1.saturating_sub(x0), y1.saturating_sub(y0))
    }

    /// First column right of the rectangle.
    pub fn right(&self) -> usize {
        self.x + self.width
    }

    /// First row below the rectangle.
    pub fn bottom(&self) -> usize {
        self.y + self.height
    }

    /// Number of pixels.
    pub fn area(&self) -> usize {
        self.width * self.height
    }

    /// Whether no pixel is inside.
    pub fn is_empty(&self) -> bool {
        self.width == 0 || self.height == 0
    }

    /// Whether pixel (`x`, `y`) is inside.
    pub fn contains(&self, x: usize, y: usize) -> bool {
        (self.x..self.right()).contains(&x) && (self.y..self.bottom()).contains(&y)
    }

    /// The pixels in both; an empty rectangle when there are none.
    pub fn intersect(&self, other: Rect) -> Rect {
        let x0 = self.x.max(other.x);
        let y0 = self.y.max(other.y);
        let both = Self::from_edges(
            x0,
            y0,
            self.right().min(other.right()),
            self.bottom().min(other.bottom()),
        );
        if both.is_empty() {
            Self::default()
        } else {
            both
        }
    }

    /// The smallest rectangle that covers both; an empty one adds nothing.
    pub fn union(&self, other: Rect) -> Rect {
        if self.is_empty() {
            return other;
        }
        if other.is_empty() {
            return *self;
        }
        Self::from_edges(
            self.x.min(other.x),
            self.y.min(other.y),
            self.right().max(other.right()),
            self.bottom().max(other.bottom()),
        )
    }

    /// Grown by `margin_px` on every side, kept inside `bounds`.
    pub fn grown(&self, margin_px: usize, bounds: Rect) -> Rect {
        Self::from_edges(
            self.x.saturating_sub(margin_px),
            self.y.saturating_sub(margin_px),
            self.right().saturating_add(margin_px),
            self.bottom().saturating_add(margin_px),
        )
        .intersect(bounds)
    }

    /// The same pixels counted from the top left corner of `origin`.
    pub fn relative_to(&self, origin: Rect) -> Rect {
        Self::new(
            self.x.saturating_sub(origin.x),
            self.y.saturating_sub(origin.y),
            self.width,
            self.height,
        )
    }
}

/// `[x', y'] = [[a, -b], [b, a]]·[x, y] + [tx, ty]` in continuous pixel coordinates:
/// rotation, uniform scale and shift.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Similarity {
    pub a: f64,
    pub b: f64,
    pub tx: f64,
    pub ty: f64,
}

impl Similarity {
    /// Leaves every point where it is.
    pub const IDENTITY: Self = Self {
        a: 1.0,
        b: 0.0,
        tx: 0.0,
        ty: 0.0,
    };

    /// Scales about the origin, then shifts; no rotation.
    pub fn scale_shift(scale: f64, tx: f64, ty: f64) -> Self {
        Self {
            a: scale,
            b: 0.0,
            tx,
            ty,
        }
    }

    /// Where a point goes.
    pub fn apply(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        [
            self.a * x - self.b * y + self.tx,
            self.b * x + self.a * y + self.ty,
        ]
    }

    /// Lengths grow by this factor.
    pub fn scale(&self) -> f64 {
        self.a.hypot(self.b)
    }

    /// The way back. A transform of scale 0 has none; its values are then infinite or NaN.
    pub fn inverse(&self) -> Self {
        let square = self.a * self.a + self.b * self.b;
        let (a, b) = (self.a / square, -self.b / square);
        Self {
            a,
            b,
            tx: -(a * self.tx - b * self.ty),
            ty: -(b * self.tx + a * self.ty),
        }
    }

    /// This transform first, `next` after it: `c_from_a = b_from_a.then(&c_from_b)`.
    pub fn then(&self, next: &Similarity) -> Self {
        let [tx, ty] = next.apply([self.tx, self.ty]);
        Self {
            a: next.a * self.a - next.b * self.b,
            b: next.b * self.a + next.a * self.b,
            tx,
            ty,
        }
    }

    /// The axis-parallel box `[x0, y0, x1, y1]` around the image of the box given so.
    pub fn bounds_of(&self, [x0, y0, x1, y1]: [f64; 4]) -> [f64; 4] {
        let corners = [[x0, y0], [x1, y0], [x0, y1], [x1, y1]].map(|p| self.apply(p));
        let mut out = [f64::MAX, f64::MAX, f64::MIN, f64::MIN];
        for [x, y] in corners {
            out = [out[0].min(x), out[1].min(y), out[2].max(x), out[3].max(y)];
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rectangles_meet_and_join() {
        let a = Rect::new(2, 3, 4, 5);
        let b = Rect::new(4, 1, 10, 4);
        assert_eq!(a.intersect(b), Rect::new(4, 3, 2, 2));
        assert_eq!(a.union(b), Rect::new(2, 1, 12, 7));
        assert_eq!(a.intersect(Rect::new(6, 3, 2, 2)), Rect::default());
        assert_eq!(a.union(Rect::default()), a);
        assert_eq!(a.grown(3, Rect::whole(8, 9)), Rect::new(0, 0, 8, 9));
        assert!(a.contains(5, 7) && !a.contains(6, 7));
        assert_eq!(b.relative_to(Rect::new(3, 1, 9, 9)), Rect::new(1, 0, 10, 4));
    }

    #[test]
    fn similarities_invert_and_chain() {
        // A quarter turn, doubled, then shifted: (1, 0) -> (0, 2) -> (5, 9).
        let turn = Similarity {
            a: 0.0,
            b: 2.0,
            tx: 5.0,
            ty: 7.0,
        };
        assert_eq!(turn.apply([1.0, 0.0]), [5.0, 9.0]);
        assert_eq!(turn.scale(), 2.0);
        let back = turn.then(&turn.inverse());
        let [x, y] = back.apply([0.3, -4.0]);
        assert!((x - 0.3).abs() < 1e-12 && (y + 4.0).abs() < 1e-12);
        let other = Similarity::scale_shift(3.0, 1.0, -1.0);
        let point = [0.25, 8.0];
        assert_eq!(
            turn.then(&other).apply(point),
            other.apply(turn.apply(point))
        );
        assert_eq!(turn.bounds_of([0.0, 0.0, 1.0, 1.0]), [3.0, 7.0, 5.0, 9.0]);
    }
}
