//! A sheet of pictures to look at: numbers do not show a crooked mouth. Each example is four tiles: the source, what
//! was hidden, the result, and what was wanted.

use crate::face::labels::by_id;
use crate::face::mask::Labels;
use crate::raster::{Grid, Rgb};

/// Kinds of examples: whole, five hidden parts, four transplanted ones.
const KINDS: usize = 10;
/// Examples of each kind.
const PER_KIND: usize = 4;
/// Colour of what is hidden.
const HIDDEN: [u8; 3] = [128; 3];
const GAP_PX: usize = 4;

/// Examples, by kind.
#[derive(Default)]
pub(super) struct Sheet {
    kinds: [Vec<[Rgb; 4]>; KINDS],
}

impl Sheet {
    /// Adds an example of a kind unless there are enough.
    pub(super) fn add(
        &mut self,
        kind: usize,
        source: &Rgb,
        hole: &Grid<u8>,
        result: &Rgb,
        wanted: &Rgb,
    ) {
        let Some(examples) = self.kinds.get_mut(kind).filter(|e| e.len() < PER_KIND) else {
            return;
        };
        let mut hidden = source.clone();
        for (pixel, _) in hidden
            .data
            .chunks_exact_mut(3)
            .zip(&hole.data)
            .filter(|(_, h)| **h != 0)
        {
            pixel.copy_from_slice(&HIDDEN);
        }
        examples.push([source.clone(), hidden, result.clone(), wanted.clone()]);
    }

    /// Adds an example whose wanted picture is known only as a painted mask.
    pub(super) fn add_painted(
        &mut self,
        kind: usize,
        source: &Rgb,
        hole: &Grid<u8>,
        result: &Rgb,
        target: &Labels,
    ) {
        let colour = |&label: &u8| by_id(label).map_or(HIDDEN, |class| class.screen);
        let wanted = Rgb {
            width: target.width,
            height: target.height,
            data: target.data.iter().flat_map(colour).collect(),
        };
        self.add(kind, source, hole, result, &wanted);
    }

    /// All examples, two in a row, kind after kind; a single grey pixel when there are none.
    pub(super) fn picture(&self) -> Rgb {
        let examples: Vec<&[Rgb; 4]> = self.kinds.iter().flatten().collect();
        let Some([first, ..]) = examples.first() else {
            return Rgb::new(1, 1, HIDDEN);
        };
        let (width, height) = (first.width, first.height);
        let (column, row) = (4 * width + GAP_PX, height + GAP_PX);
        let mut sheet = Rgb::new(
            2 * column - GAP_PX,
            examples.len().div_ceil(2) * row - GAP_PX,
            [255; 3],
        );
        for (i, tiles) in examples.iter().enumerate() {
            for (k, tile) in tiles.iter().enumerate() {
                sheet.paste(tile, (i % 2) * column + k * width, (i / 2) * row);
            }
        }
        sheet
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_stand_in_rows_of_four_tiles() {
        let mut sheet = Sheet::default();
        assert_eq!(sheet.picture(), Rgb::new(1, 1, HIDDEN));
        let (source, result) = (Rgb::new(8, 8, [10; 3]), Rgb::new(8, 8, [200; 3]));
        let mut hole = Grid::new(8, 8, 0);
        hole.set(2, 3, 1);
        for _ in 0..PER_KIND + 2 {
            sheet.add(0, &source, &hole, &result, &source);
        }
        sheet.add_painted(9, &source, &hole, &result, &Grid::new(8, 8, 1));
        let picture = sheet.picture();
        assert_eq!((picture.width, picture.height), (68, 32));
        assert_eq!(picture.get(8 + 2, 3), Some(HIDDEN));
        assert_eq!(picture.get(8 + 3, 3), Some([10; 3]));
        assert_eq!(picture.get(16, 0), Some([200; 3]));
        // The last example's wanted tile is skin's colour.
        assert_eq!(picture.get(24, 24), by_id(1).map(|c| c.screen));
    }
}
