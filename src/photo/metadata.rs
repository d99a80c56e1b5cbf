//! The camera's data (EXIF) of a photo, made fit for its edited copy: the picture has been turned upright, and the small
//! picture that cameras put inside shows what it was before.
//!
//! EXIF is a little TIFF file: header, then directories of entries of 12 bytes, each with a pointer to the next
//! directory (JEITA CP-3451, section 4.6). Left out: XMP and IPTC.

use image::metadata::Orientation;

/// A JPEG file has no room for more in one segment.
const MAX_BYTES: usize = 65_000;
const PREFIX: &[u8] = b"Exif\0\0";

/// The data with its orientation reset and without its small picture; none if it is no EXIF, or too much.
pub(super) fn upright(mut exif: Vec<u8>) -> Option<Vec<u8>> {
    // Some writers of WebP put JPEG's prefix before it.
    if exif.starts_with(PREFIX) {
        exif.drain(..PREFIX.len());
    }
    if exif.len() < 14 || exif.len() > MAX_BYTES {
        return None;
    }
    let is_little = match exif.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    // The photo has been turned by it already.
    let _turned_by = Orientation::remove_from_exif_chunk(&mut exif);
    remove_thumbnail(&mut exif, is_little);
    Some(exif)
}

/// Blanks the small picture and ends the list of directories after the first. A damaged block stays as it is.
fn remove_thumbnail(exif: &mut [u8], is_little: bool) -> Option<()> {
    const ENTRY_BYTES: usize = 12;
    const JPEG_AT: u32 = 0x0201;
    const JPEG_BYTES: u32 = 0x0202;
    let first = read(exif, 4, 4, is_little)? as usize;
    let count = read(exif, first, 2, is_little)? as usize;
    let link = first.checked_add(2 + count * ENTRY_BYTES)?;
    let second = read(exif, link, 4, is_little)? as usize;
    if second == 0 {
        return None;
    }
    exif.get_mut(link..link + 4)?.fill(0);
    let count = read(exif, second, 2, is_little)? as usize;
    let value_of = |tag: u32| {
        (0..count).find_map(|i| {
            let entry = second + 2 + i * ENTRY_BYTES;
            let is_it = read(exif, entry, 2, is_little)? == tag;
            is_it.then(|| read(exif, entry + 8, 4, is_little))?
        })
    };
    let (at, len) = (value_of(JPEG_AT)? as usize, value_of(JPEG_BYTES)? as usize);
    exif.get_mut(at..at.checked_add(len)?)?.fill(0);
    Some(())
}

/// A number of two or four bytes.
fn read(bytes: &[u8], at: usize, len: usize, is_little: bool) -> Option<u32> {
    let digits = bytes.get(at..at.checked_add(len)?)?;
    let add = |sum: u32, byte: &u8| sum << 8 | u32::from(*byte);
    Some(match is_little {
        true => digits.iter().rev().fold(0, add),
        false => digits.iter().fold(0, add),
    })
}
