//! Mask files. Written: PNG, 8-bit grey, the value is the class id. Read: that, and what other
//! tools write for the same 19 classes: RGB with three equal ids, the official palette's
//! colours or BiSeNet's, and palette PNG (by colour if it has such ones, else by index).
//!
//! The values must be exactly what was written, so only PNG is read, and nothing is scaled.
//! Left out: the other forms that masks come in ([`super::formats`]).

use std::io::Cursor;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use super::Labels;
use crate::face::labels::{self, CLASS_COUNT};
use crate::photo::{self, MAX_AREA_PX, MAX_SIDE_PX};
use crate::raster::Grid;

/// Writes a mask as 8-bit ids, whole or not at all.
///
/// # Errors
/// [`photo::save_atomically`]'s.
pub fn write_mask(path: &Path, mask: &Labels) -> Result<()> {
    photo::save_atomically(path, &encode_mask(mask)?)
}

/// Reads a mask. With a `photo_size` (width, height) it must have that size.
///
/// # Errors
/// Not a PNG file, damaged, of another size, or with a value that is no class.
pub fn read_mask(path: &Path, photo_size: Option<(usize, usize)>) -> Result<Labels> {
    photo::read_bounded(path)
        .and_then(|bytes| decode_mask(&bytes))
        .and_then(|mask| {
            if let Some(size) = photo_size {
                photo::ensure_same_size("mask", (mask.width, mask.height), size)?;
            }
            Ok(mask)
        })
        .map_err(|err| anyhow!("Failed to read the mask. {err:#}: {}", path.display()))
}

/// A mask as the bytes of a PNG file of ids.
///
/// # Errors
/// When the sides do not fit PNG.
pub fn encode_mask(mask: &Labels) -> Result<Vec<u8>> {
    encode(mask, None)
}

/// Indices into a palette (red, green, blue, red, …) as the bytes of a PNG file.
///
/// # Errors
/// When the sides do not fit PNG.
pub(super) fn encode_indexed(indices: &Labels, palette: Vec<u8>) -> Result<Vec<u8>> {
    encode(indices, Some(palette))
}

fn encode(values: &Labels, palette: Option<Vec<u8>>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let (width, height) = (u32::try_from(values.width)?, u32::try_from(values.height)?);
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Grayscale);
    if let Some(palette) = palette {
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_palette(palette);
    }
    encoder.set_depth(png::BitDepth::Eight);
    encoder
        .write_header()
        .and_then(|mut writer| {
            writer.write_image_data(&values.data)?;
            writer.finish()
        })
        .context("Failed to encode the mask as PNG")?;
    Ok(bytes)
}

/// What tells a file's classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// The official palette's colours.
    Colours,
    /// Those of BiSeNet's order.
    BisenetColours,
    /// Numbers, taken as official ids.
    Numbers,
}

/// Decodes a mask file that is in memory.
///
/// # Errors
/// As for [`read_mask`], without a path.
pub fn decode_mask(bytes: &[u8]) -> Result<Labels> {
    Ok(decode_told(bytes)?.0)
}

/// [`decode_mask`] that says what told the classes.
pub(super) fn decode_told(bytes: &[u8]) -> Result<(Labels, Told)> {
    ensure!(
        bytes.starts_with(b"\x89PNG\r\n\x1a\n"),
        "A mask must be a PNG file; other formats change its values"
    );
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    // Values as they are in the file: neither scaled to 8 bits nor looked up in the palette.
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(explain)?;
    let info = reader.info();
    let (width, height) = (info.width, info.height);
    ensure!(
        width <= MAX_SIDE_PX
            && height <= MAX_SIDE_PX
            && u64::from(width) * u64::from(height) <= MAX_AREA_PX,
        "The mask is {width} × {height} pixels; no photo of that size can be opened"
    );
    let palette = info.palette.as_ref().map(|p| p.to_vec());
    let size = reader
        .output_buffer_size()
        .context("The mask needs more memory than there is")?;
    let mut data = vec![0; size];
    let frame = reader.next_frame(&mut data).map_err(explain)?;
    let (width, height) = (width as usize, height as usize);
    let depth = match frame.bit_depth {
        png::BitDepth::One => 1,
        png::BitDepth::Two => 2,
        png::BitDepth::Four => 4,
        png::BitDepth::Eight => 8,
        png::BitDepth::Sixteen => 16,
    };
    let samples = frame.color_type.samples();
    let values = Samples {
        data: &data,
        width,
        height,
        row_bytes: frame.line_size,
        samples,
        depth,
    };
    let (ids, told) = match frame.color_type {
        png::ColorType::Grayscale | png::ColorType::GrayscaleAlpha => {
            let ids = values.collect(|pixel| class_of_value(pixel[0]));
            ids.map(|ids| (ids, Told::Numbers))
        }
        png::ColorType::Rgb | png::ColorType::Rgba => ids_from_colours(&values),
        png::ColorType::Indexed => {
            let palette = palette.context("The file is damaged (no palette)")?;
            ids_from_indices(&values, &palette)
        }
    }?;
    Ok((Grid::from_vec(width, height, ids)?, told))
}

fn explain(err: png::DecodingError) -> anyhow::Error {
    match err {
        png::DecodingError::IoError(err) if err.kind() == std::io::ErrorKind::UnexpectedEof => {
            anyhow!("The file is cut short")
        }
        err => anyhow!("The file is damaged ({err})"),
    }
}

/// Unpacked access to PNG rows of any depth.
struct Samples<'a> {
    data: &'a [u8],
    width: usize,
    height: usize,
    row_bytes: usize,
    samples: usize,
    depth: usize,
}

impl Samples<'_> {
    /// Maps every pixel's samples to an id; an error gets the pixel's place added.
    fn collect(&self, mut id_of: impl FnMut(&[u16]) -> Result<u8>) -> Result<Vec<u8>> {
        let mut ids = Vec::with_capacity(self.width * self.height);
        let mut pixel = vec![0u16; self.samples];
        for y in 0..self.height {
            let row = self
                .data
                .get(y * self.row_bytes..(y + 1) * self.row_bytes)
                .context("The file is cut short")?;
            for x in 0..self.width {
                for (s, value) in pixel.iter_mut().enumerate() {
                    *value = sample(row, x * self.samples + s, self.depth);
                }
                let id = id_of(&pixel).map_err(|err| anyhow!("{err} (at column {x}, row {y})"))?;
                ids.push(id);
            }
        }
        Ok(ids)
    }
}

fn sample(row: &[u8], index: usize, depth: usize) -> u16 {
    let byte = |at: usize| u16::from(row.get(at).copied().unwrap_or(0));
    match depth {
        16 => byte(2 * index) << 8 | byte(2 * index + 1),
        8 => byte(index),
        // Packed from the high bits down.
        _ => {
            let bit = index * depth;
            byte(bit / 8) >> (8 - depth - bit % 8) & ((1 << depth) - 1)
        }
    }
}

fn class_of_value(value: u16) -> Result<u8> {
    match u8::try_from(value) {
        Ok(id) if usize::from(id) < CLASS_COUNT => Ok(id),
        _ => bail!(
            "The mask has the value {value}, but classes are 0 to {}",
            CLASS_COUNT - 1
        ),
    }
}

/// Three equal ids everywhere, or the colours of one palette everywhere.
fn ids_from_colours(values: &Samples) -> Result<(Vec<u8>, Told)> {
    let by_grey = values.collect(|p| {
        ensure!(p[0] == p[1] && p[1] == p[2], "not grey");
        class_of_value(p[0])
    });
    if let Ok(ids) = by_grey {
        return Ok((ids, Told::Numbers));
    }
    // Neighbours mostly agree: looking the last colour up again is saved.
    let by = |class_of: fn([u16; 3]) -> Result<u8>| {
        let mut last = None;
        values.collect(|p| {
            let colour = [p[0], p[1], p[2]];
            if let Some((seen, class)) = last
                && seen == colour
            {
                return Ok(class);
            }
            let class = class_of(colour)?;
            last = Some((colour, class));
            Ok(class)
        })
    };
    match by(official_class) {
        Ok(ids) => Ok((ids, Told::Colours)),
        Err(err) => by(bisenet_class)
            .map(|ids| (ids, Told::BisenetColours))
            .map_err(|_| err),
    }
}

/// A colour with 8 bits a channel.
fn narrow(colour: [u16; 3]) -> Option<[u8; 3]> {
    match colour.map(|v| u8::try_from(v).ok()) {
        [Some(r), Some(g), Some(b)] => Some([r, g, b]),
        _ => None,
    }
}

fn official_class(colour: [u16; 3]) -> Result<u8> {
    let class = narrow(colour).and_then(labels::by_official_colour);
    let [r, g, b] = colour;
    class.with_context(|| {
        format!(
            "The mask has the colour {r}, {g}, {b}, which is neither a class id nor in the palette"
        )
    })
}

fn bisenet_class(colour: [u16; 3]) -> Result<u8> {
    narrow(colour)
        .and_then(labels::by_bisenet_colour)
        .context("not in BiSeNet's palette")
}

/// Palette files: known colours win, whatever their order (tools that shrink files sort the
/// palette); then grey ids; otherwise the index itself is the id.
fn ids_from_indices(values: &Samples, palette: &[u8]) -> Result<(Vec<u8>, Told)> {
    let mut used = [false; 256];
    let indices = values.collect(|p| {
        let index = u8::try_from(p[0])?;
        used[usize::from(index)] = true;
        Ok(index)
    })?;
    let colour_of = |index: usize| -> Option<[u16; 3]> {
        let entry = palette.get(index * 3..index * 3 + 3)?;
        Some([entry[0].into(), entry[1].into(), entry[2].into()])
    };
    let by = |class_of: &dyn Fn([u16; 3]) -> Option<u8>| -> Option<[u8; 256]> {
        let mut table = [0; 256];
        for (index, _) in used.iter().enumerate().filter(|(_, used)| **used) {
            table[index] = class_of(colour_of(index)?)?;
        }
        Some(table)
    };
    let grey = |[r, g, b]: [u16; 3]| (r == g && g == b).then(|| class_of_value(r).ok()).flatten();
    let found = by(&|colour| official_class(colour).ok())
        .map(|table| (table, Told::Colours))
        .or_else(|| Some((by(&|c| bisenet_class(c).ok())?, Told::BisenetColours)))
        .or_else(|| Some((by(&grey)?, Told::Numbers)));
    match found {
        Some((table, told)) => {
            let ids = indices.iter().map(|&i| table[usize::from(i)]).collect();
            Ok((ids, told))
        }
        None => {
            let ids = values.collect(|p| class_of_value(p[0]))?;
            Ok((ids, Told::Numbers))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::face::labels::CLASSES;

    fn all_classes() -> Labels {
        Grid::from_vec(5, 4, (0..20).map(|i| i % 19).collect()).unwrap()
    }

    fn png_of(
        (width, height): (usize, usize),
        color: png::ColorType,
        depth: png::BitDepth,
        palette: Option<Vec<u8>>,
        data: &[u8],
    ) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if let Some(palette) = palette {
            encoder.set_palette(palette);
        }
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(data).unwrap();
        writer.finish().unwrap();
        bytes
    }

    fn message(result: Result<Labels>) -> String {
        format!("{:#}", result.unwrap_err())
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mask.png");
        let mask = all_classes();
        write_mask(&path, &mask).unwrap();
        assert_eq!(read_mask(&path, Some((5, 4))).unwrap(), mask);
        // And it is plain 8-bit grey for everyone else.
        let other = image::open(&path).unwrap();
        assert_eq!(other.color(), image::ColorType::L8);
        assert_eq!(other.into_luma8().into_raw(), mask.data);
        let text = message(read_mask(&path, Some((4, 5))));
        assert!(text.contains("mask is 5 × 4") && text.contains("photo is 4 × 5"));
        assert!(text.ends_with("mask.png"), "{text}");
    }

    #[test]
    fn colours_and_triple_ids_are_understood() {
        use png::{BitDepth::Eight, ColorType};
        let mask = all_classes();
        let triple: Vec<u8> = mask.data.iter().flat_map(|&id| [id; 3]).collect();
        let png = png_of((5, 4), ColorType::Rgb, Eight, None, &triple);
        assert_eq!(decode_mask(&png).unwrap(), mask);
        let coloured: Vec<u8> = mask
            .data
            .iter()
            .flat_map(|&id| CLASSES[usize::from(id)].official)
            .collect();
        let png = png_of((5, 4), ColorType::Rgb, Eight, None, &coloured);
        assert_eq!(decode_mask(&png).unwrap(), mask);
        let with_alpha: Vec<u8> = coloured
            .chunks(3)
            .flat_map(|c| [c[0], c[1], c[2], 255])
            .collect();
        let png = png_of((5, 4), ColorType::Rgba, Eight, None, &with_alpha);
        assert_eq!(decode_mask(&png).unwrap(), mask);
    }

    #[test]
    fn palette_files_go_by_colour_then_by_index() {
        use png::{BitDepth, ColorType};
        let mask = all_classes();
        // The official colours in reverse order: index 18 − id.
        let reversed: Vec<u8> = CLASSES.iter().rev().flat_map(|c| c.official).collect();
        let indices: Vec<u8> = mask.data.iter().map(|id| 18 - id).collect();
        let png = png_of(
            (5, 4),
            ColorType::Indexed,
            BitDepth::Eight,
            Some(reversed),
            &indices,
        );
        assert_eq!(decode_mask(&png).unwrap(), mask);
        // Foreign colours: the index counts.
        let foreign: Vec<u8> = (0..19u8).flat_map(|i| [i, 200, 100 + i]).collect();
        let png = png_of(
            (5, 4),
            ColorType::Indexed,
            BitDepth::Eight,
            Some(foreign),
            &mask.data,
        );
        assert_eq!(decode_mask(&png).unwrap(), mask);
        // Four bits a pixel, three pixels in two bytes.
        let foreign: Vec<u8> = (0..16u8).flat_map(|i| [i, 0, 77]).collect();
        let png = png_of(
            (3, 1),
            ColorType::Indexed,
            BitDepth::Four,
            Some(foreign),
            &[0x1D, 0x20],
        );
        assert_eq!(decode_mask(&png).unwrap().data, [1, 13, 2]);
    }

    #[test]
    fn narrow_and_deep_grey_is_not_scaled() {
        use png::{BitDepth, ColorType::Grayscale};
        let png = png_of((3, 1), Grayscale, BitDepth::Four, None, &[0x1F, 0x20]);
        assert_eq!(decode_mask(&png).unwrap().data, [1, 15, 2]);
        let png = png_of((2, 1), Grayscale, BitDepth::Sixteen, None, &[0, 18, 0, 3]);
        assert_eq!(decode_mask(&png).unwrap().data, [18, 3]);
        let png = png_of((2, 1), Grayscale, BitDepth::Sixteen, None, &[1, 2, 0, 3]);
        assert!(message(decode_mask(&png)).contains("value 258"));
    }

    #[test]
    fn values_that_are_no_class_are_named() {
        use png::{BitDepth::Eight, ColorType};
        let png = png_of((2, 2), ColorType::Grayscale, Eight, None, &[0, 1, 19, 2]);
        let text = message(decode_mask(&png));
        assert!(
            text.contains("value 19") && text.contains("column 0, row 1"),
            "{text}"
        );
        let png = png_of(
            (2, 1),
            ColorType::Rgb,
            Eight,
            None,
            &[204, 0, 0, 10, 20, 30],
        );
        let text = message(decode_mask(&png));
        assert!(
            text.contains("10, 20, 30") && text.contains("column 1, row 0"),
            "{text}"
        );
    }

    #[test]
    fn other_files_are_refused() {
        let mut jpeg = std::io::Cursor::new(Vec::new());
        image::GrayImage::new(8, 8)
            .write_to(&mut jpeg, image::ImageFormat::Jpeg)
            .unwrap();
        assert!(message(decode_mask(jpeg.get_ref())).contains("must be a PNG"));
        let good = encode_mask(&Grid::new(64, 64, 3)).unwrap();
        let text = message(decode_mask(&good[..good.len() - 20]));
        assert!(
            text.contains("cut short") || text.contains("damaged"),
            "{text}"
        );
        assert!(message(read_mask(Path::new("no/such.png"), None)).contains("no such file"));
    }
}
