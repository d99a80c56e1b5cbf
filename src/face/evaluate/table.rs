//! The reports as text, for people.

use std::fmt;

use super::generator::{GeneratorReport, Scores};
use super::parser::{MaskScores, ParserReport};
use super::{Fill, Goal};

/// A number with so many digits, or a dash.
struct Shown(Option<f64>, usize);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(value) => f.pad(&format!("{value:.*}", self.1)),
            None => f.pad("–"),
        }
    }
}

fn write_goals(f: &mut fmt::Formatter<'_>, goals: &[Goal]) -> fmt::Result {
    writeln!(f, "\n{:<52} {:>8} {:>10}", "goal", "reached", "wanted")?;
    for goal in goals {
        let sign = if goal.at_least { "≥" } else { "≤" };
        let wanted = format!("{sign} {}", goal.wanted);
        let met = if goal.is_met { "met" } else { "missed" };
        writeln!(
            f,
            "{:<52} {:>8} {wanted:>10}  {met}",
            goal.name,
            Shown(goal.value, 3)
        )?;
    }
    Ok(())
}

impl fmt::Display for ParserReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = |f: &mut fmt::Formatter<'_>, name: &str, s: &MaskScores| {
            let (accuracy, f1, iou) = (
                Shown(s.pixel_accuracy, 4),
                Shown(s.mean_f1, 4),
                Shown(s.mean_iou, 4),
            );
            writeln!(f, "{name:<22} {accuracy:>9} {f1:>9} {iou:>9}")
        };
        writeln!(
            f,
            "{:<22} {:>9} {:>9} {:>9}",
            format!("{} faces", self.faces),
            "accuracy",
            "mean F1",
            "mean IoU"
        )?;
        total(f, "aligned crop", &self.aligned)?;
        total(f, "found in the photo", &self.detected)?;
        writeln!(f, "no face found in {}", self.not_found)?;
        writeln!(
            f,
            "\n{:<12} {:>8} {:>8} {:>8}",
            "class", "share", "F1", "IoU"
        )?;
        for class in &self.detected.classes {
            let share = format!("{:.2} %", 100.0 * class.share);
            writeln!(
                f,
                "{:<12} {share:>8} {:>8} {:>8}",
                class.class,
                Shown(class.f1, 3),
                Shown(class.iou, 3)
            )?;
        }
        write_goals(f, &self.goals)
    }
}

impl fmt::Display for GeneratorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        type Value = fn(&Scores) -> Option<f64>;
        let header = |f: &mut fmt::Formatter<'_>, first: &str| {
            write!(f, "{first:<16} {:>5}", "faces")?;
            Fill::ALL
                .iter()
                .try_for_each(|fill| write!(f, " {:>14}", fill.name()))?;
            writeln!(f)
        };
        let rows: [(&str, Value, usize); 3] = [
            ("PSNR, dB", |s| s.psnr_db, 2),
            ("SSIM", |s| s.ssim, 3),
            ("Laplacian ratio", |s| s.laplacian_ratio, 2),
        ];
        for (title, value, digits) in rows {
            header(f, title)?;
            let whole = std::iter::once(("whole face", self.whole.faces, &self.whole.fills));
            let parts = self
                .parts
                .iter()
                .map(|p| (p.part.name(), p.faces, &p.fills));
            for (name, faces, fills) in whole.chain(parts) {
                write!(f, "  {name:<14} {faces:>5}")?;
                fills
                    .iter()
                    .try_for_each(|s| write!(f, " {:>14}", Shown(value(s), digits)))?;
                writeln!(f)?;
            }
        }
        header(f, "IoU, transplant")?;
        for t in &self.transplants {
            write!(f, "  {:<14} {:>5}", t.part.name(), t.faces)?;
            t.iou
                .iter()
                .try_for_each(|(_, iou)| write!(f, " {:>14}", Shown(*iou, 3)))?;
            writeln!(f, "   real photo {}", Shown(t.iou_of_photo, 3))?;
        }
        write_goals(f, &self.goals)
    }
}
