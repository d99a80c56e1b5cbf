//! Track files: where each walker was at which frame.
//!
//! Read are the text of ETH/UCY and TrajNet (`frame agent x y`, any white space), the annotations of the Stanford Drone
//! Dataset (ten columns: agent, box, frame, three flags, label) and CSV with a header that names frame, agent, x and y.
//! Lines may come in any order and may be repeated; a walker may be missing for a while. What cannot be meant is
//! refused with its line number. Left out: interpolation over gaps. A walker who was not seen is not made up.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use super::Point;

/// The longest file of the field (SDD's annotations of one video) has 30 MB.
const MAX_FILE_BYTES: u64 = 256 << 20;
/// Beyond this a coordinate is a mistake, and squares of it lose all precision.
const MAX_COORDINATE: f64 = 1e9;
/// Frames of SDD's videos (30 a second) between two steps of 0.4 s.
const SDD_FRAMES_A_STEP: i64 = 12;

/// All walkers of one recording.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tracks {
    /// In the order in which the walkers first stand in the file.
    pub tracks: Vec<Track>,
    /// Frames between two steps.
    pub step: i64,
    /// What the user should know about the reading, in plain words.
    pub notes: Vec<String>,
}

/// One walker.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Track {
    /// The name in the file; a whole number has no decimals.
    pub agent: String,
    /// By rising frame, each frame once.
    pub points: Vec<TrackPoint>,
}

/// One annotated position.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrackPoint {
    pub frame: i64,
    pub at: Point,
}

impl Tracks {
    /// Every annotated frame once, rising.
    pub fn frames(&self) -> Vec<i64> {
        let mut frames: Vec<i64> = self
            .tracks
            .iter()
            .flat_map(|t| t.points.iter().map(|p| p.frame))
            .collect();
        frames.sort_unstable();
        frames.dedup();
        frames
    }

    /// The same walkers with `step` frames between two steps, in place of the most frequent distance of two lines.
    ///
    /// # Errors
    /// When `step` is not positive.
    pub fn with_step(mut self, step: i64) -> Result<Self> {
        ensure!(
            step > 0,
            "There must be at least one frame between two steps"
        );
        self.step = step;
        Ok(self)
    }

    /// All positions times `factor`: pixels to metres, for example.
    ///
    /// # Errors
    /// When `factor` is not a positive number.
    pub fn scaled(mut self, factor: f64) -> Result<Self> {
        ensure!(
            factor.is_finite() && factor > 0.0,
            "The scale must be a positive number"
        );
        for point in self.tracks.iter_mut().flat_map(|t| &mut t.points) {
            point.at = point.at.map(|v| v * factor);
        }
        Ok(self)
    }
}

impl Track {
    /// Where the walker was at `frame`, if that was annotated.
    pub fn at(&self, frame: i64) -> Option<Point> {
        let found = self.points.binary_search_by_key(&frame, |p| p.frame).ok()?;
        Some(self.points[found].at)
    }
}

/// Reads a track file.
///
/// # Errors
/// Missing, too large, empty, not text, or a line that cannot be understood: the message has its number.
pub fn read(path: &Path) -> Result<Tracks> {
    let text = read_text(path).with_context(|| format!("Failed to read {}", path.display()))?;
    parse(&text).with_context(|| format!("Failed to read tracks from {}", path.display()))
}

fn read_text(path: &Path) -> Result<String> {
    let metadata = std::fs::metadata(path)?;
    ensure!(metadata.is_file(), "this is no file");
    ensure!(
        metadata.len() <= MAX_FILE_BYTES,
        "the file has {} MB; cut it into recordings of at most {} MB",
        metadata.len() >> 20,
        MAX_FILE_BYTES >> 20
    );
    String::from_utf8(std::fs::read(path)?)
        .map_err(|_| anyhow!("this is no text; tracks are text lines or CSV"))
}

/// Reads tracks from text.
///
/// # Errors
/// As for [`read`], without the path.
pub fn parse(text: &str) -> Result<Tracks> {
    let text = text.trim_start_matches('\u{feff}');
    let mut lines = text
        .lines()
        .enumerate()
        .map(|(i, line)| (i + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .peekable();
    let &(number, first) = lines
        .peek()
        .context("There are no tracks in it: the file is empty")?;
    let format = Format::of(first).with_context(|| format!("line {number}"))?;
    if matches!(format, Format::Columns { .. }) {
        lines.next();
    }
    let mut reader = Reader::default();
    for (number, line) in lines {
        let row = format
            .row(line)
            .with_context(|| format!("line {number}: `{}`", shortened(line)))?;
        if let Some((frame, agent, at)) = row {
            reader.add(number, frame, agent, at)?;
        }
    }
    reader.finish()
}

/// How the columns of a file are to be read.
enum Format {
    /// `frame agent x y`.
    Text,
    /// `agent xmin ymin xmax ymax frame lost occluded generated label`.
    Sdd,
    /// With a header: the columns of frame, agent, x and y.
    Columns {
        separator: char,
        columns: [usize; 4],
    },
}

/// Names that a CSV column may have, for frame, agent, x and y.
const COLUMN_NAMES: [&[&str]; 4] = [
    &["frame", "frame_id", "frame_number", "t"],
    &[
        "agent",
        "agent_id",
        "ped",
        "ped_id",
        "pedestrian",
        "track",
        "track_id",
        "id",
        "person",
        "walker",
    ],
    &["x", "pos_x", "x_m", "x_px"],
    &["y", "pos_y", "y_m", "y_px"],
];

fn fields(line: &str, separator: char) -> Vec<&str> {
    line.split(separator)
        .map(|f| f.trim().trim_matches('"'))
        .collect()
}

impl Format {
    fn of(first: &str) -> Result<Self> {
        let words: Vec<&str> = first.split_whitespace().collect();
        let is_number = |word: &&str| word.parse::<f64>().is_ok();
        if words.len() == 10 && words[..9].iter().all(is_number) {
            return Ok(Self::Sdd);
        }
        if words.iter().all(is_number) {
            return Ok(Self::Text);
        }
        let separator = [',', ';', '\t']
            .into_iter()
            .find(|&c| first.contains(c))
            .unwrap_or(' ');
        let header: Vec<String> = fields(first, separator)
            .iter()
            .map(|f| f.to_lowercase())
            .collect();
        ensure!(
            header.iter().any(|name| name.parse::<f64>().is_err()),
            "CSV needs a header that names the columns, such as frame{separator}agent{separator}x{separator}y"
        );
        let mut columns = [0; 4];
        for (column, names) in columns.iter_mut().zip(COLUMN_NAMES) {
            *column = header.iter().position(|h| names.contains(&h.as_str())).with_context(|| {
                format!(
                    "there is no column {}. Tracks are lines of `frame agent x y`, or CSV whose header names these",
                    names[0]
                )
            })?;
        }
        Ok(Self::Columns { separator, columns })
    }

    /// Frame, agent and position; none for a line that says the walker is not in view.
    fn row(&self, line: &str) -> Result<Option<(i64, String, Point)>> {
        match self {
            Self::Text => {
                let words: Vec<&str> = line.split_whitespace().collect();
                let [frame, agent, x, y] = words[..] else {
                    bail!("expected `frame agent x y`, found {} columns", words.len())
                };
                Ok(Some((
                    whole(frame)?,
                    name_of(agent)?,
                    [coordinate(x)?, coordinate(y)?],
                )))
            }
            Self::Sdd => {
                let words: Vec<&str> = line.split_whitespace().collect();
                ensure!(
                    words.len() == 10,
                    "expected ten columns, found {}",
                    words.len()
                );
                let frame = whole(words[5])?;
                if words[6] != "0" || frame.rem_euclid(SDD_FRAMES_A_STEP) != 0 {
                    return Ok(None);
                }
                let corner = |i: usize| coordinate(words[i]);
                let at = [
                    0.5 * (corner(1)? + corner(3)?),
                    0.5 * (corner(2)? + corner(4)?),
                ];
                Ok(Some((frame, name_of(words[0])?, at)))
            }
            Self::Columns { separator, columns } => {
                let fields = fields(line, *separator);
                let field = |i: usize| {
                    fields.get(columns[i]).copied().with_context(|| {
                        format!(
                            "column {} is missing: there are {}",
                            columns[i] + 1,
                            fields.len()
                        )
                    })
                };
                let at = [coordinate(field(2)?)?, coordinate(field(3)?)?];
                Ok(Some((whole(field(0)?)?, name_of(field(1)?)?, at)))
            }
        }
    }
}

fn shortened(line: &str) -> String {
    line.chars().take(60).collect()
}

fn whole(word: &str) -> Result<i64> {
    let value: f64 = word
        .parse()
        .map_err(|_| anyhow!("the frame `{word}` is no number"))?;
    // Beyond 2^53 neighbouring frames could not be told apart.
    ensure!(
        value.fract() == 0.0 && value.abs() < 9e15,
        "the frame {word} is no whole number"
    );
    Ok(value as i64)
}

fn coordinate(word: &str) -> Result<f64> {
    let value: f64 = word
        .parse()
        .map_err(|_| anyhow!("the coordinate `{word}` is no number"))?;
    ensure!(
        value.abs() <= MAX_COORDINATE,
        "the coordinate {word} is not possible"
    );
    Ok(value)
}

fn name_of(word: &str) -> Result<String> {
    ensure!(!word.is_empty(), "the agent has no name");
    Ok(match word.parse::<f64>() {
        Ok(value) if value.fract() == 0.0 && value.abs() < 9e15 => (value as i64).to_string(),
        _ => word.to_string(),
    })
}

/// Collects lines.
#[derive(Default)]
struct Reader {
    order: Vec<String>,
    /// Of each walker, by frame: where, and in which line.
    seen: HashMap<String, BTreeMap<i64, (Point, usize)>>,
    repeated: usize,
}

impl Reader {
    fn add(&mut self, number: usize, frame: i64, agent: String, at: Point) -> Result<()> {
        if !self.seen.contains_key(&agent) {
            self.order.push(agent.clone());
        }
        let frames = self.seen.entry(agent.clone()).or_default();
        match frames.get(&frame) {
            None => {
                frames.insert(frame, (at, number));
            }
            Some((before, _)) if *before == at => self.repeated += 1,
            Some((_, line)) => bail!(
                "line {number}: agent {agent} is in two places at frame {frame}; line {line} says otherwise"
            ),
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Tracks> {
        let mut tracks = Vec::with_capacity(self.order.len());
        for agent in self.order {
            let frames = self.seen.remove(&agent).unwrap_or_default();
            let points = frames
                .into_iter()
                .map(|(frame, (at, _))| TrackPoint { frame, at });
            tracks.push(Track {
                points: points.collect(),
                agent,
            });
        }
        ensure!(!tracks.is_empty(), "There are no tracks in it");
        let mut distances: BTreeMap<i64, usize> = BTreeMap::new();
        for pair in tracks.iter().flat_map(|t| t.points.windows(2)) {
            *distances.entry(pair[1].frame - pair[0].frame).or_default() += 1;
        }
        // The smaller one when two are as frequent: a gap is longer than a step.
        let step = distances
            .iter()
            .max_by_key(|&(&step, &count)| (count, std::cmp::Reverse(step)))
            .map_or(1, |(&step, _)| step);
        let mut notes = Vec::new();
        if self.repeated > 0 {
            notes.push(format!("{} lines are repeated", self.repeated));
        }
        let gaps: usize = distances
            .iter()
            .filter(|&(&d, _)| d != step)
            .map(|(_, count)| count)
            .sum();
        if gaps > 0 {
            notes.push(format!(
                "{gaps} times a walker is missing for a while; nothing is predicted across that"
            ));
        }
        Ok(Tracks {
            tracks,
            step,
            notes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_in_any_order_with_repeated_lines_is_one_recording() {
        let tracks = parse("20 1.0 3 4\n0\t1.0\t1\t2\n\n10 1 2 3\n10 1 2 3\n10 2 9 9\n").unwrap();
        assert_eq!(tracks.step, 10);
        assert_eq!(tracks.tracks.len(), 2);
        let one = &tracks.tracks[0];
        assert_eq!(one.agent, "1");
        assert_eq!(
            one.points.iter().map(|p| p.frame).collect::<Vec<_>>(),
            [0, 10, 20]
        );
        assert_eq!(one.at(10), Some([2.0, 3.0]));
        assert_eq!(tracks.notes, ["1 lines are repeated"]);
        assert_eq!(tracks.frames(), [0, 10, 20]);
    }

    #[test]
    fn csv_takes_its_columns_from_the_header() {
        let tracks =
            parse("x,y,ped_id,frame\n1.5,2.5,anna,0\n2.5,2.5,anna,12\n4,4,bob,12\n").unwrap();
        assert_eq!(tracks.step, 12);
        assert_eq!(tracks.tracks[0].agent, "anna");
        assert_eq!(tracks.tracks[0].at(12), Some([2.5, 2.5]));
        assert_eq!(tracks.tracks[1].at(12), Some([4.0, 4.0]));
    }

    #[test]
    fn stanford_drone_annotations_give_the_middle_of_the_box() {
        let text = "7 10 20 30 60 0 0 0 1 \"Pedestrian\"\n7 12 20 32 60 12 0 0 1 \"Pedestrian\"\n\
                    7 12 20 32 60 13 0 0 1 \"Pedestrian\"\n7 0 0 0 0 24 1 0 1 \"Pedestrian\"\n";
        let tracks = parse(text).unwrap();
        assert_eq!(tracks.tracks[0].points.len(), 2);
        assert_eq!(tracks.tracks[0].at(12), Some([22.0, 40.0]));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_line() {
        for (text, line, why) in [
            ("0 1 2 3\n10 1 2\n", "line 2", "3 columns"),
            ("0 1 2 3\n10 1 2 x\n", "line 2", "no number"),
            ("0 1 2 3\n10 1 nan 3\n", "line 2", "not possible"),
            ("0 1 2 3\n0.5 1 2 3\n", "line 2", "whole number"),
            ("0 1 2 3\n\n0 1 2 4\n", "line 3", "two places"),
            ("a,b,c\n1,2,3\n", "line 1", "no column frame"),
            ("1,2,3,4\n", "line 1", "header"),
            ("frame,agent,x,y\n1,2,3\n", "line 2", "column 4 is missing"),
        ] {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(
                error.contains(line) && error.contains(why),
                "{text:?}: {error}"
            );
        }
        assert!(parse(" \n").unwrap_err().to_string().contains("empty"));
    }

    #[test]
    fn the_step_can_be_said_and_pixels_scaled() {
        let tracks = parse("0 1 2 4\n1 1 3 4\n").unwrap();
        let tracks = tracks.with_step(12).unwrap().scaled(0.5).unwrap();
        assert_eq!(
            (tracks.step, tracks.tracks[0].at(0)),
            (12, Some([1.0, 2.0]))
        );
        assert!(tracks.clone().with_step(0).is_err() && tracks.scaled(f64::NAN).is_err());
    }
}
