//! The 19 classes of a face mask, as CelebAMask-HQ numbers and names them.
//!
//! Lee et al., "MaskGAN: Towards Diverse and Interactive Facial Image Manipulation", CVPR 2020,
//! and its data set's tools. `l_` and `r_` are the **subject's** sides: `l_eye` is on the image's
//! right. The official palette is for files only: its two brows are nearly the same cyan, so the
//! screen has colours of our own.
//!
//! Left out: other label sets, except BiSeNet's order of the same 19 classes.

/// How many classes a mask knows; ids are `0..CLASS_COUNT`.
pub const CLASS_COUNT: usize = 19;

/// One class of a face mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    /// Value in a mask.
    pub id: u8,
    /// CelebAMask-HQ's name, such as `l_brow`.
    pub name: &'static str,
    /// What people call it, in sentence case.
    pub title: &'static str,
    /// Colour on screen.
    pub screen: [u8; 3],
    /// Colour in the data set's palette, for colour-coded mask files.
    pub official: [u8; 3],
}

const fn class(
    id: u8,
    name: &'static str,
    title: &'static str,
    screen: [u8; 3],
    official: [u8; 3],
) -> Class {
    Class {
        id,
        name,
        title,
        screen,
        official,
    }
}

/// Every class, at the index of its id.
pub const CLASSES: [Class; CLASS_COUNT] = [
    class(0, "background", "Background", [60, 64, 72], [0, 0, 0]),
    class(1, "skin", "Skin", [240, 178, 122], [204, 0, 0]),
    class(2, "nose", "Nose", [108, 190, 69], [76, 153, 0]),
    class(3, "eye_g", "Glasses", [250, 214, 30], [204, 204, 0]),
    class(4, "l_eye", "Left eye", [46, 104, 255], [51, 51, 255]),
    class(5, "r_eye", "Right eye", [202, 60, 230], [204, 0, 204]),
    class(6, "l_brow", "Left eyebrow", [0, 196, 220], [0, 255, 255]),
    class(
        7,
        "r_brow",
        "Right eyebrow",
        [255, 120, 190],
        [51, 255, 255],
    ),
    class(8, "l_ear", "Left ear", [130, 84, 40], [102, 51, 0]),
    class(9, "r_ear", "Right ear", [196, 36, 48], [255, 0, 0]),
    class(10, "mouth", "Mouth", [174, 255, 110], [102, 204, 0]),
    class(11, "u_lip", "Upper lip", [255, 106, 80], [255, 255, 0]),
    class(12, "l_lip", "Lower lip", [150, 20, 110], [0, 0, 153]),
    class(13, "hair", "Hair", [90, 70, 170], [0, 0, 204]),
    class(14, "hat", "Hat", [255, 60, 130], [255, 51, 153]),
    class(15, "ear_r", "Earring", [140, 240, 240], [0, 204, 204]),
    class(16, "neck_l", "Necklace", [0, 96, 30], [0, 51, 0]),
    class(17, "neck", "Neck", [214, 140, 30], [255, 153, 51]),
    class(18, "cloth", "Clothes", [40, 160, 120], [0, 204, 0]),
];

/// Names for ids, so that code reads as the mask does.
pub mod id {
    pub const BACKGROUND: u8 = 0;
    pub const SKIN: u8 = 1;
    pub const NOSE: u8 = 2;
    pub const EYE_G: u8 = 3;
    pub const L_EYE: u8 = 4;
    pub const R_EYE: u8 = 5;
    pub const L_BROW: u8 = 6;
    pub const R_BROW: u8 = 7;
    pub const L_EAR: u8 = 8;
    pub const R_EAR: u8 = 9;
    pub const MOUTH: u8 = 10;
    pub const U_LIP: u8 = 11;
    pub const L_LIP: u8 = 12;
    pub const HAIR: u8 = 13;
    pub const HAT: u8 = 14;
    pub const EAR_R: u8 = 15;
    pub const NECK_L: u8 = 16;
    pub const NECK: u8 = 17;
    pub const CLOTH: u8 = 18;
}

/// The classes that come as a left and a right one: `(l_, r_)`.
pub const SIDED: [(u8, u8); 3] = [
    (id::L_EYE, id::R_EYE),
    (id::L_BROW, id::R_BROW),
    (id::L_EAR, id::R_EAR),
];

/// `BISENET_TO_CLASS[b]` is the class of id `b` in BiSeNet's order (zllrunning's parser).
pub const BISENET_TO_CLASS: [u8; CLASS_COUNT] = [
    0, 1, 6, 7, 4, 5, 3, 8, 9, 15, 2, 10, 11, 12, 17, 16, 18, 13, 14,
];

/// Colours of the ids in BiSeNet's order, as zllrunning's parser paints them on white.
pub const BISENET_COLOURS: [[u8; 3]; CLASS_COUNT] = [
    [255, 255, 255],
    [255, 85, 0],
    [255, 170, 0],
    [255, 0, 85],
    [255, 0, 170],
    [0, 255, 0],
    [85, 255, 0],
    [170, 255, 0],
    [0, 255, 85],
    [0, 255, 170],
    [0, 0, 255],
    [85, 0, 255],
    [170, 0, 255],
    [0, 85, 255],
    [0, 170, 255],
    [255, 255, 0],
    [255, 255, 85],
    [255, 255, 170],
    [255, 0, 255],
];

/// The class that a colour of BiSeNet's palette stands for.
pub fn by_bisenet_colour(colour: [u8; 3]) -> Option<u8> {
    let index = BISENET_COLOURS.iter().position(|c| *c == colour)?;
    BISENET_TO_CLASS.get(index).copied()
}

/// The class with this id.
pub fn by_id(id: u8) -> Option<&'static Class> {
    CLASSES.get(usize::from(id))
}

/// The class with this data set name, such as `u_lip`.
pub fn by_name(name: &str) -> Option<&'static Class> {
    CLASSES.iter().find(|class| class.name == name)
}

/// What a class becomes when the picture is mirrored: left and right swap, the rest stay.
pub const fn flip_pair(class: u8) -> u8 {
    match class {
        4 => 5,
        5 => 4,
        6 => 7,
        7 => 6,
        8 => 9,
        9 => 8,
        other => other,
    }
}

/// The class an official palette colour stands for. Both cyans in use for `r_brow` are known.
pub fn by_official_colour(colour: [u8; 3]) -> Option<u8> {
    // One tool of the data set paints r_brow in this pink instead.
    const R_BROW_PINK: [u8; 3] = [255, 204, 204];
    if colour == R_BROW_PINK {
        return Some(id::R_BROW);
    }
    CLASSES
        .iter()
        .find(|class| class.official == colour)
        .map(|class| class.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_indices_and_names_are_unique() {
        for (index, class) in CLASSES.iter().enumerate() {
            assert_eq!(usize::from(class.id), index);
            assert_eq!(by_name(class.name), Some(class));
            assert_eq!(by_official_colour(class.official), Some(class.id));
        }
        assert_eq!(by_id(19), None);
        assert_eq!(by_name("l_brow").map(|class| class.id), Some(id::L_BROW));
        assert_eq!(by_official_colour([1, 2, 3]), None);
    }

    #[test]
    fn flipping_twice_changes_nothing() {
        for class in CLASSES {
            assert_eq!(flip_pair(flip_pair(class.id)), class.id);
        }
        for (left, right) in SIDED {
            assert_eq!(flip_pair(left), right);
        }
        let sided = CLASSES.iter().filter(|c| flip_pair(c.id) != c.id).count();
        assert_eq!(sided, 6);
    }

    #[test]
    fn bisenet_order_names_every_class_once() {
        let mut seen = BISENET_TO_CLASS;
        seen.sort_unstable();
        assert!(seen.iter().enumerate().all(|(i, &c)| usize::from(c) == i));
        assert_eq!(BISENET_TO_CLASS[17], id::HAIR);
        assert_eq!(BISENET_TO_CLASS[6], id::EYE_G);
    }

    #[test]
    fn screen_colours_can_be_told_apart() {
        // The official brows are 51 apart; ours must all be clearly further.
        for (i, a) in CLASSES.iter().enumerate() {
            for b in &CLASSES[..i] {
                let square: i32 = (0..3)
                    .map(|c| (i32::from(a.screen[c]) - i32::from(b.screen[c])).pow(2))
                    .sum();
                assert!(square >= 60 * 60, "{} and {}", a.name, b.name);
            }
        }
    }
}
