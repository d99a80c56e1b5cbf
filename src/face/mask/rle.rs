//! Run-length masks as COCO writes them, and mask files in COCO's JSON form.
//!
//! Runs go down the columns, the first one counts zeros. In the compressed form each run is the difference to the run
//! two before it (from the fourth on), in groups of five bits, low ones first, 32 added while more follow and 48 to make
//! a printable character: `rleToString` of COCO's API (Lin et al., "Microsoft COCO", ECCV 2014; maskApi.c). Both forms
//! are read. Left out: polygons.

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::Labels;
use super::reshape::class_rect;
use crate::face::labels::{CLASSES, by_id, by_name};
use crate::photo::{MAX_AREA_PX, MAX_SIDE_PX};
use crate::raster::Grid;

/// One region of a picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rle {
    /// Height, width.
    pub size: [usize; 2],
    pub counts: Counts,
}

/// The runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Counts {
    Compressed(String),
    Plain(Vec<u32>),
}

impl Rle {
    /// Where `mask` has a class, compressed.
    pub fn of_class(mask: &Labels, class: u8) -> Self {
        let mut runs = Vec::new();
        let (mut run, mut is_inside) = (0_i64, false);
        for x in 0..mask.width {
            for y in 0..mask.height {
                let is_class = mask.get(x, y) == Some(&class);
                if is_class != is_inside {
                    runs.push(run);
                    (run, is_inside) = (0, is_class);
                }
                run += 1;
            }
        }
        runs.push(run);
        Self {
            size: [mask.height, mask.width],
            counts: Counts::Compressed(compress(&runs)),
        }
    }

    /// Gives every pixel of the region a label.
    ///
    /// # Errors
    /// The region has another size than the mask, or its runs do not fill it.
    pub fn paint(&self, mask: &mut Labels, class: u8) -> Result<()> {
        ensure!(
            self.size == [mask.height, mask.width],
            "A region has another size than its picture"
        );
        let area = mask.width * mask.height;
        let mut at = 0_usize;
        for (i, run) in self.runs()?.into_iter().enumerate() {
            let run = usize::try_from(run).context("A region has a run below zero")?;
            let end = at.checked_add(run).filter(|end| *end <= area);
            let end = end.context("A region is larger than its picture")?;
            if i % 2 == 1 {
                for at in at..end {
                    mask.set(at / mask.height, at % mask.height, class);
                }
            }
            at = end;
        }
        ensure!(at == area, "A region is smaller than its picture");
        Ok(())
    }

    fn runs(&self) -> Result<Vec<i64>> {
        match &self.counts {
            Counts::Plain(counts) => Ok(counts.iter().map(|run| i64::from(*run)).collect()),
            Counts::Compressed(text) => expand(text),
        }
    }
}

fn compress(runs: &[i64]) -> String {
    let mut text = String::new();
    for (i, run) in runs.iter().enumerate() {
        let before = if i > 2 { runs[i - 2] } else { 0 };
        let mut rest = run - before;
        loop {
            let group = (rest & 0x1F) as u8;
            rest >>= 5;
            let is_last = rest == if group & 0x10 != 0 { -1 } else { 0 };
            let more = if is_last { 0 } else { 0x20 };
            text.push(char::from((group | more) + 48));
            if is_last {
                break;
            }
        }
    }
    text
}

fn expand(text: &str) -> Result<Vec<i64>> {
    let mut runs: Vec<i64> = Vec::new();
    let mut bytes = text.bytes();
    while let Some(first) = bytes.next() {
        let (mut value, mut shift, mut next) = (0_i64, 0_u32, Some(first));
        loop {
            let byte = next.context("A region is cut short")?;
            let group = byte.checked_sub(48).filter(|group| *group < 64);
            let group = group.context("A region has a character that stands for nothing")?;
            ensure!(shift <= 35, "A region has a number that is too long");
            value |= i64::from(group & 0x1F) << shift;
            shift += 5;
            if group & 0x20 == 0 {
                if group & 0x10 != 0 {
                    value |= -1_i64 << shift;
                }
                break;
            }
            next = bytes.next();
        }
        if runs.len() > 2 {
            value += runs[runs.len() - 2];
        }
        runs.push(value);
    }
    Ok(runs)
}

#[derive(Serialize, Deserialize)]
struct Coco {
    images: Vec<Image>,
    categories: Vec<Category>,
    annotations: Vec<Annotation>,
}

#[derive(Serialize, Deserialize)]
struct Image {
    id: u64,
    file_name: String,
    width: usize,
    height: usize,
}

#[derive(Serialize, Deserialize)]
struct Category {
    id: u64,
    name: String,
}

#[derive(Serialize, Deserialize)]
struct Annotation {
    id: u64,
    image_id: u64,
    category_id: u64,
    segmentation: Rle,
    #[serde(default)]
    area: f64,
    #[serde(default)]
    bbox: Vec<f64>,
    #[serde(default)]
    iscrowd: u8,
}

/// A mask as COCO's JSON: one image, one annotation for each class but the background.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn encode_coco(mask: &Labels, photo_name: &str) -> Result<Vec<u8>> {
    let annotation = |class: &crate::face::labels::Class| {
        let rect = class_rect(mask, |label| label == class.id);
        let area = mask.data.iter().filter(|label| **label == class.id).count();
        Annotation {
            id: class.id.into(),
            image_id: 1,
            category_id: class.id.into(),
            segmentation: Rle::of_class(mask, class.id),
            area: area as f64,
            bbox: [rect.x, rect.y, rect.width, rect.height]
                .map(|v| v as f64)
                .to_vec(),
            iscrowd: 0,
        }
    };
    let parts = CLASSES.iter().skip(1);
    let coco = Coco {
        images: vec![Image {
            id: 1,
            file_name: photo_name.to_owned(),
            width: mask.width,
            height: mask.height,
        }],
        categories: CLASSES
            .iter()
            .skip(1)
            .map(|class| Category {
                id: class.id.into(),
                name: class.name.to_owned(),
            })
            .collect(),
        annotations: parts
            .filter(|class| mask.data.contains(&class.id))
            .map(annotation)
            .collect(),
    };
    serde_json::to_vec(&coco).context("Failed to write the mask as JSON")
}

/// Reads what [`encode_coco`] writes, or other tools for the same classes: by the categories' names.
///
/// # Errors
/// Not such a file, more than one image, sizes that no photo has, or a category that is no class.
pub fn decode_coco(bytes: &[u8]) -> Result<Labels> {
    let coco: Coco = serde_json::from_slice(bytes)
        .context("This is not a mask in COCO's form with run lengths")?;
    let [image] = coco.images.as_slice() else {
        bail!(
            "The file has {} images. Only files of one image can be opened as a mask",
            coco.images.len()
        );
    };
    let (width, height) = (image.width, image.height);
    ensure!(
        width <= MAX_SIDE_PX as usize
            && height <= MAX_SIDE_PX as usize
            && (width * height) as u64 <= MAX_AREA_PX,
        "The mask is {width} × {height} pixels; no photo of that size can be opened"
    );
    let mut mask = Grid::new(width, height, 0);
    let mut regions = Vec::new();
    for annotation in coco.annotations.iter().filter(|a| a.image_id == image.id) {
        let id = annotation.category_id;
        let category = coco.categories.iter().find(|category| category.id == id);
        let class = match category {
            Some(category) => by_name(&category.name),
            None => u8::try_from(id).ok().and_then(by_id),
        };
        let name = category.map_or("", |category| category.name.as_str());
        let class = class.with_context(|| format!("There is no class {name} ({id})"))?;
        regions.push((class.id, &annotation.segmentation));
    }
    // As the data set's own parts are put together: the later class lies on top.
    regions.sort_by_key(|(class, _)| *class);
    for (class, region) in regions {
        region.paint(&mut mask, class)?;
    }
    Ok(mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Run with pycocotools 2.0.11:
    /// ```python
    /// m = np.zeros((40, 50), np.uint8); m[3:17, 5:40] = 1; m[10:12, 20:25] = 0; m[39, 49] = 1
    /// mask.encode(np.asfortranarray(m))["counts"]
    /// ```
    const PYCOCOTOOLS: &str = r"[6>j00000000000000000000000000000IXONh02XONh02XONh02XONh02XONh090000000000000000000000000000\<C";

    fn sample() -> Labels {
        let mut mask = Grid::new(50, 40, 0);
        for y in 3..17 {
            mask.row_mut(y)[5..40].fill(13);
        }
        for y in 10..12 {
            mask.row_mut(y)[20..25].fill(2);
        }
        mask.set(49, 39, 13);
        mask
    }

    #[test]
    fn runs_are_those_of_pycocotools() {
        let rle = Rle::of_class(&sample(), 13);
        assert_eq!(rle.size, [40, 50]);
        assert_eq!(rle.counts, Counts::Compressed(PYCOCOTOOLS.into()));
    }

    #[test]
    fn a_mask_survives_as_json_in_both_forms() {
        let mask = sample();
        let json = encode_coco(&mask, "00000.jpg").unwrap();
        assert_eq!(decode_coco(&json).unwrap(), mask);
        let mut value: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(value["annotations"][0]["category_id"], 2);
        assert_eq!(
            value["annotations"][0]["bbox"],
            serde_json::json!([20.0, 10.0, 5.0, 2.0])
        );
        assert_eq!(value["annotations"][0]["area"], 10.0);
        // The same with plain counts: 20 columns of 40 and ten rows, then two by two.
        let mut counts = vec![810];
        counts.extend([2, 38, 2, 38, 2, 38, 2, 38, 2, 2000 - 812 - 4 * 40]);
        value["annotations"][0]["segmentation"]["counts"] = counts.into();
        let json = serde_json::to_vec(&value).unwrap();
        assert_eq!(decode_coco(&json).unwrap(), mask);
    }

    #[test]
    fn damaged_regions_are_refused() {
        let mut mask = Grid::new(50, 40, 0);
        let mut paint = |counts: Counts| {
            let size = [40, 50];
            Rle { size, counts }.paint(&mut mask, 1)
        };
        assert!(paint(Counts::Plain(vec![0, 2000])).is_ok());
        assert!(paint(Counts::Plain(vec![0, 2001])).is_err());
        assert!(paint(Counts::Plain(vec![0, 20])).is_err());
        for bad in ["~", "o", "ooooooooooo1", "\u{1}", "@"] {
            assert!(paint(Counts::Compressed(bad.into())).is_err(), "{bad}");
        }
        for bad in [
            "{}",
            "[1]",
            r#"{"images":[],"categories":[],"annotations":[]}"#,
        ] {
            assert!(decode_coco(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
