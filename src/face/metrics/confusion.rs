//! Scores of masks, all from one confusion matrix.

use anyhow::{Result, ensure};

use crate::face::labels::CLASS_COUNT;
use crate::face::mask::Labels;
use crate::raster::Grid;

/// Pixel counts by true class (row) and predicted class (column), summed over a whole set before any score is taken.
///
/// A class that occurs neither in the truth nor in the prediction of the set has no score and is left out of the
/// means. One that occurs in only one of them scores 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    counts: [[u64; CLASS_COUNT]; CLASS_COUNT],
}

impl Default for Confusion {
    fn default() -> Self {
        Self {
            counts: [[0; CLASS_COUNT]; CLASS_COUNT],
        }
    }
}

impl Confusion {
    /// Counts every pixel of a pair.
    ///
    /// # Errors
    /// When the sizes differ or an id is no class.
    pub fn add(&mut self, truth: &Labels, predicted: &Labels) -> Result<()> {
        self.count(truth, predicted, |_| true)
    }

    /// Counts the pixels where `region` is not 0.
    ///
    /// # Errors
    /// As for [`Confusion::add`].
    pub fn add_within(
        &mut self,
        truth: &Labels,
        predicted: &Labels,
        region: &Grid<u8>,
    ) -> Result<()> {
        ensure!(
            region.data.len() == truth.data.len(),
            "The region and the mask differ in size"
        );
        self.count(truth, predicted, |i| {
            region.data.get(i).is_some_and(|&v| v != 0)
        })
    }

    fn count(
        &mut self,
        truth: &Labels,
        predicted: &Labels,
        counts: impl Fn(usize) -> bool,
    ) -> Result<()> {
        ensure!(
            (truth.width, truth.height) == (predicted.width, predicted.height),
            "The masks are {} × {} and {} × {}",
            truth.width,
            truth.height,
            predicted.width,
            predicted.height
        );
        for (i, (&t, &p)) in truth.data.iter().zip(&predicted.data).enumerate() {
            if !counts(i) {
                continue;
            }
            let cell = self
                .counts
                .get_mut(usize::from(t))
                .and_then(|row| row.get_mut(usize::from(p)));
            match cell {
                Some(cell) => *cell += 1,
                None => anyhow::bail!("The mask has the value {}, which is no class", t.max(p)),
            }
        }
        Ok(())
    }

    /// Adds another matrix.
    pub fn merge(&mut self, other: &Self) {
        for (row, other) in self.counts.iter_mut().zip(&other.counts) {
            for (cell, more) in row.iter_mut().zip(other) {
                *cell += more;
            }
        }
    }

    /// Pixels that are truly of `class`, pixels predicted so, and pixels that are both.
    pub fn totals(&self, class: usize) -> (u64, u64, u64) {
        let truth = self.counts[class].iter().sum();
        let predicted = self.counts.iter().map(|row| row[class]).sum();
        (truth, predicted, self.counts[class][class])
    }

    /// Share of the pixels whose class is right; none without pixels.
    pub fn pixel_accuracy(&self) -> Option<f64> {
        let all: u64 = self.counts.iter().flatten().sum();
        let right: u64 = (0..CLASS_COUNT).map(|c| self.counts[c][c]).sum();
        (all > 0).then(|| right as f64 / all as f64)
    }

    /// Harmonic mean of precision and recall: 2·both / (true + predicted).
    pub fn f1(&self, class: usize) -> Option<f64> {
        let (truth, predicted, both) = self.totals(class);
        (truth + predicted > 0).then(|| 2.0 * both as f64 / (truth + predicted) as f64)
    }

    /// Intersection over union.
    pub fn iou(&self, class: usize) -> Option<f64> {
        let (truth, predicted, both) = self.totals(class);
        (truth + predicted > 0).then(|| both as f64 / (truth + predicted - both) as f64)
    }

    /// Mean F1 over the 18 classes that are not background.
    pub fn mean_f1(&self) -> Option<f64> {
        mean((1..CLASS_COUNT).filter_map(|c| self.f1(c)))
    }

    /// Mean IoU over all 19 classes.
    pub fn mean_iou(&self) -> Option<f64> {
        mean((0..CLASS_COUNT).filter_map(|c| self.iou(c)))
    }

    /// Mean IoU over some classes.
    pub fn mean_iou_of(&self, classes: &[u8]) -> Option<f64> {
        mean(classes.iter().filter_map(|&c| self.iou(usize::from(c))))
    }
}

/// The mean; none of nothing.
fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0u32), |(sum, count), v| (sum + v, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(data: &[u8]) -> Labels {
        Grid::from_vec(data.len(), 1, data.to_vec()).unwrap()
    }

    #[test]
    fn scores_match_hand_counts() {
        let mut confusion = Confusion::default();
        confusion
            .add(&grid(&[0, 0, 1, 1, 2, 2]), &grid(&[0, 1, 1, 1, 2, 3]))
            .unwrap();
        assert_eq!(confusion.pixel_accuracy(), Some(4.0 / 6.0));
        // Class 1: 2 true, 3 predicted, 2 both.
        assert_eq!(confusion.f1(1), Some(0.8));
        assert_eq!(confusion.iou(1), Some(2.0 / 3.0));
        // Class 3 is predicted but never true: 0, and it counts. Class 4 is nowhere: left out.
        assert_eq!(confusion.f1(3), Some(0.0));
        assert_eq!(confusion.f1(4), None);
        let f1 = (0.8 + 2.0 / 3.0 + 0.0) / 3.0;
        assert!((confusion.mean_f1().unwrap() - f1).abs() < 1e-12);
        let iou = (0.5 + 2.0 / 3.0 + 0.5 + 0.0) / 4.0;
        assert!((confusion.mean_iou().unwrap() - iou).abs() < 1e-12);
        assert_eq!(confusion.mean_iou_of(&[0, 4]), Some(0.5));
    }

    #[test]
    fn the_set_is_summed_before_it_is_scored() {
        let (mut whole, mut a, mut b) = (
            Confusion::default(),
            Confusion::default(),
            Confusion::default(),
        );
        a.add(&grid(&[1, 1, 1, 1]), &grid(&[1, 1, 1, 1])).unwrap();
        b.add(&grid(&[1, 0]), &grid(&[0, 0])).unwrap();
        whole.merge(&a);
        whole.merge(&b);
        // 4 of 5 true pixels found; the mean of the two pictures' own scores would be ½.
        assert_eq!(whole.iou(1), Some(0.8));
    }

    #[test]
    fn regions_limit_what_counts_and_bad_input_is_refused() {
        let mut confusion = Confusion::default();
        confusion
            .add_within(&grid(&[1, 1, 2]), &grid(&[1, 2, 1]), &grid(&[1, 0, 0]))
            .unwrap();
        assert_eq!(confusion.pixel_accuracy(), Some(1.0));
        assert!(confusion.add(&grid(&[1]), &grid(&[1, 1])).is_err());
        assert!(confusion.add(&grid(&[19]), &grid(&[1])).is_err());
        assert_eq!(Confusion::default().pixel_accuracy(), None);
        assert_eq!(Confusion::default().mean_iou(), None);
    }
}
