//! The 133 keypoints of a person, as COCO-WholeBody orders them: 17 of the body, 6 of the feet, 68 of the face, 21 of
//! each hand.
//!
//! Names, limbs and left/right pairs are those of mmpose's `coco_wholebody.py`; the spread of human labelling (sigmas)
//! is that of COCO (Lin et al. 2014) and COCO-WholeBody (Jin et al. 2020, "Whole-Body Human Pose Estimation in the
//! Wild"). Left and right are the person's own.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Keypoints of one person.
pub const KEYPOINTS: usize = 133;
/// Keypoints of the body alone: COCO's own, and the first of the 133.
pub const BODY_KEYPOINTS: usize = 17;

/// What a keypoint belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    Body,
    Foot,
    Face,
    LeftHand,
    RightHand,
}

impl Part {
    /// In the order of their keypoints.
    pub const ALL: [Self; 5] = [
        Self::Body,
        Self::Foot,
        Self::Face,
        Self::LeftHand,
        Self::RightHand,
    ];

    /// Its keypoints among the 133.
    pub const fn range(self) -> Range<usize> {
        match self {
            Self::Body => 0..17,
            Self::Foot => 17..23,
            Self::Face => 23..91,
            Self::LeftHand => 91..112,
            Self::RightHand => 112..133,
        }
    }

    /// In plain words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Foot => "foot",
            Self::Face => "face",
            Self::LeftHand => "left hand",
            Self::RightHand => "right hand",
        }
    }

    /// The part that keypoint `index` belongs to; none from 133 on.
    pub fn of(index: usize) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|part| part.range().contains(&index))
    }
}

/// Names of the body's and feet's keypoints.
const BODY_AND_FOOT: [&str; 23] = [
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
    "left_big_toe",
    "left_small_toe",
    "left_heel",
    "right_big_toe",
    "right_small_toe",
    "right_heel",
];

/// Names within a hand.
const HAND: [&str; 21] = [
    "hand_root",
    "thumb1",
    "thumb2",
    "thumb3",
    "thumb4",
    "forefinger1",
    "forefinger2",
    "forefinger3",
    "forefinger4",
    "middle_finger1",
    "middle_finger2",
    "middle_finger3",
    "middle_finger4",
    "ring_finger1",
    "ring_finger2",
    "ring_finger3",
    "ring_finger4",
    "pinky_finger1",
    "pinky_finger2",
    "pinky_finger3",
    "pinky_finger4",
];

/// The name of keypoint `index` as COCO-WholeBody has it; empty from 133 on.
pub fn name(index: usize) -> String {
    let in_hand = |start: usize| HAND.get(index - start).copied().unwrap_or_default();
    match Part::of(index) {
        Some(Part::Body | Part::Foot) => BODY_AND_FOOT
            .get(index)
            .copied()
            .unwrap_or_default()
            .to_owned(),
        Some(Part::Face) => format!("face-{}", index - Part::Face.range().start),
        Some(part @ Part::LeftHand) => format!("left_{}", in_hand(part.range().start)),
        Some(part @ Part::RightHand) => format!("right_{}", in_hand(part.range().start)),
        None => String::new(),
    }
}

/// Pairs of keypoints that a line is drawn between: body, feet, hands.
pub const LIMBS: [[usize; 2]; 65] = [
    [15, 13],
    [13, 11],
    [16, 14],
    [14, 12],
    [11, 12],
    [5, 11],
    [6, 12],
    [5, 6],
    [5, 7],
    [6, 8],
    [7, 9],
    [8, 10],
    [1, 2],
    [0, 1],
    [0, 2],
    [1, 3],
    [2, 4],
    [3, 5],
    [4, 6],
    [15, 17],
    [15, 18],
    [15, 19],
    [16, 20],
    [16, 21],
    [16, 22],
    [91, 92],
    [92, 93],
    [93, 94],
    [94, 95],
    [91, 96],
    [96, 97],
    [97, 98],
    [98, 99],
    [91, 100],
    [100, 101],
    [101, 102],
    [102, 103],
    [91, 104],
    [104, 105],
    [105, 106],
    [106, 107],
    [91, 108],
    [108, 109],
    [109, 110],
    [110, 111],
    [112, 113],
    [113, 114],
    [114, 115],
    [115, 116],
    [112, 117],
    [117, 118],
    [118, 119],
    [119, 120],
    [112, 121],
    [121, 122],
    [122, 123],
    [123, 124],
    [112, 125],
    [125, 126],
    [126, 127],
    [127, 128],
    [112, 129],
    [129, 130],
    [130, 131],
    [131, 132],
];

/// Pairs of keypoints that a line is drawn between: jaw, brows, nose, eyes, lips.
pub const FACE_LIMBS: [[usize; 2]; 63] = [
    [23, 24],
    [24, 25],
    [25, 26],
    [26, 27],
    [27, 28],
    [28, 29],
    [29, 30],
    [30, 31],
    [31, 32],
    [32, 33],
    [33, 34],
    [34, 35],
    [35, 36],
    [36, 37],
    [37, 38],
    [38, 39],
    [40, 41],
    [41, 42],
    [42, 43],
    [43, 44],
    [45, 46],
    [46, 47],
    [47, 48],
    [48, 49],
    [50, 51],
    [51, 52],
    [52, 53],
    [54, 55],
    [55, 56],
    [56, 57],
    [57, 58],
    [59, 60],
    [60, 61],
    [61, 62],
    [62, 63],
    [63, 64],
    [64, 59],
    [65, 66],
    [66, 67],
    [67, 68],
    [68, 69],
    [69, 70],
    [70, 65],
    [71, 72],
    [72, 73],
    [73, 74],
    [74, 75],
    [75, 76],
    [76, 77],
    [77, 78],
    [78, 79],
    [79, 80],
    [80, 81],
    [81, 82],
    [82, 71],
    [83, 84],
    [84, 85],
    [85, 86],
    [86, 87],
    [87, 88],
    [88, 89],
    [89, 90],
    [90, 83],
];

/// The keypoint that each one becomes in a mirrored picture.
pub const MIRRORED: [usize; KEYPOINTS] = [
    0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15, 20, 21, 22, 17, 18, 19, 39, 38, 37,
    36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 49, 48, 47, 46, 45, 44, 43, 42, 41, 40,
    50, 51, 52, 53, 58, 57, 56, 55, 54, 68, 67, 66, 65, 70, 69, 62, 61, 60, 59, 64, 63, 77, 76, 75,
    74, 73, 72, 71, 82, 81, 80, 79, 78, 87, 86, 85, 84, 83, 90, 89, 88, 112, 113, 114, 115, 116,
    117, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127, 128, 129, 130, 131, 132, 91, 92, 93, 94,
    95, 96, 97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111,
];

/// How far apart careful people place each keypoint, over the square root of the person's area: OKS's unit of error is
/// twice this.
pub const SIGMAS: [f64; KEYPOINTS] = [
    0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107,
    0.087, 0.087, 0.089, 0.089, 0.068, 0.066, 0.066, 0.092, 0.094, 0.094, 0.042, 0.043, 0.044,
    0.043, 0.04, 0.035, 0.031, 0.025, 0.02, 0.023, 0.029, 0.032, 0.037, 0.038, 0.043, 0.041, 0.045,
    0.013, 0.012, 0.011, 0.011, 0.012, 0.012, 0.011, 0.011, 0.013, 0.015, 0.009, 0.007, 0.007,
    0.007, 0.012, 0.009, 0.008, 0.016, 0.01, 0.017, 0.011, 0.009, 0.011, 0.009, 0.007, 0.013,
    0.008, 0.011, 0.012, 0.01, 0.034, 0.008, 0.008, 0.009, 0.008, 0.008, 0.007, 0.01, 0.008, 0.009,
    0.009, 0.009, 0.007, 0.007, 0.008, 0.011, 0.008, 0.008, 0.008, 0.01, 0.008, 0.029, 0.022,
    0.035, 0.037, 0.047, 0.026, 0.025, 0.024, 0.035, 0.018, 0.024, 0.022, 0.026, 0.017, 0.021,
    0.021, 0.032, 0.02, 0.019, 0.022, 0.031, 0.029, 0.022, 0.035, 0.037, 0.047, 0.026, 0.025,
    0.024, 0.035, 0.018, 0.024, 0.022, 0.026, 0.017, 0.021, 0.021, 0.032, 0.02, 0.019, 0.022,
    0.031,
];

/// The place in COCO's body order of the joints that code asks for by name.
pub mod joint {
    pub const NOSE: usize = 0;
    pub const LEFT_EYE: usize = 1;
    pub const RIGHT_EYE: usize = 2;
    pub const LEFT_EAR: usize = 3;
    pub const RIGHT_EAR: usize = 4;
    pub const LEFT_SHOULDER: usize = 5;
    pub const RIGHT_SHOULDER: usize = 6;
    pub const LEFT_ELBOW: usize = 7;
    pub const RIGHT_ELBOW: usize = 8;
    pub const LEFT_WRIST: usize = 9;
    pub const RIGHT_WRIST: usize = 10;
    pub const LEFT_HIP: usize = 11;
    pub const RIGHT_HIP: usize = 12;
    pub const LEFT_KNEE: usize = 13;
    pub const RIGHT_KNEE: usize = 14;
    pub const LEFT_ANKLE: usize = 15;
    pub const RIGHT_ANKLE: usize = 16;
}

/// One person found in a photo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Person {
    /// 133 points in photo pixels. A point of score 0 was not looked for; its place means nothing.
    pub keypoints_in_image: Vec<[f32; 2]>,
    /// 0 to 1 for each of the 133 points.
    pub scores: Vec<f32>,
    /// Left, top, right, bottom in photo pixels; it may reach beyond the photo.
    pub bbox_in_image: [f32; 4],
    /// 0 to 1: orders the people of all photos by how well they are found.
    pub score: f32,
}

impl Person {
    /// A person with nothing found yet in this box.
    pub fn new(bbox_in_image: [f32; 4], score: f32) -> Self {
        Self {
            keypoints_in_image: vec![[0.0; 2]; KEYPOINTS],
            scores: vec![0.0; KEYPOINTS],
            bbox_in_image,
            score,
        }
    }

    /// A person of whom the body is known: 17 points with scores, in COCO's order.
    pub fn from_body(
        body: &[([f32; 2], f32); BODY_KEYPOINTS],
        bbox_in_image: [f32; 4],
        score: f32,
    ) -> Self {
        let mut person = Self::new(bbox_in_image, score);
        for (index, (point, score)) in body.iter().enumerate() {
            person.set(index, *point, *score);
        }
        person
    }

    /// Keypoint `index` and its score; at the origin with score 0 from 133 on.
    pub fn get(&self, index: usize) -> ([f32; 2], f32) {
        (
            self.keypoints_in_image
                .get(index)
                .copied()
                .unwrap_or_default(),
            self.scores.get(index).copied().unwrap_or_default(),
        )
    }

    /// Places keypoint `index`; nothing happens from 133 on.
    pub fn set(&mut self, index: usize, point_in_image: [f32; 2], score: f32) {
        if let (Some(point), Some(slot)) = (
            self.keypoints_in_image.get_mut(index),
            self.scores.get_mut(index),
        ) {
            *point = point_in_image;
            *slot = score;
        }
    }

    /// Mean score of a part's keypoints.
    pub fn part_score(&self, part: Part) -> f32 {
        let range = part.range();
        let scores = self.scores.get(range.clone()).unwrap_or_default();
        scores.iter().sum::<f32>() / range.len() as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_follow_each_other_and_names_are_distinct() {
        let mut end = 0;
        for part in Part::ALL {
            assert_eq!(part.range().start, end);
            end = part.range().end;
        }
        assert_eq!(end, KEYPOINTS);
        let names: std::collections::BTreeSet<String> = (0..KEYPOINTS).map(name).collect();
        assert_eq!(names.len(), KEYPOINTS);
        assert_eq!(name(joint::LEFT_WRIST), "left_wrist");
        assert_eq!(name(132), "right_pinky_finger4");
        assert_eq!((name(23), name(133)), ("face-0".into(), String::new()));
        assert!(Part::of(133).is_none());
    }

    #[test]
    fn mirroring_twice_gives_the_same_keypoint_with_its_side_swapped() {
        for index in 0..KEYPOINTS {
            assert_eq!(MIRRORED[MIRRORED[index]], index);
            let (own, other) = (name(index), name(MIRRORED[index]));
            if let Some(rest) = own.strip_prefix("left_") {
                assert_eq!(other, format!("right_{rest}"));
            }
        }
    }

    #[test]
    fn limbs_stay_within_the_keypoints_and_faces_within_the_face() {
        assert!(LIMBS.as_flattened().iter().all(|&i| i < KEYPOINTS));
        let face = Part::Face.range();
        assert!(FACE_LIMBS.as_flattened().iter().all(|i| face.contains(i)));
        assert!(SIGMAS.iter().all(|&s| (0.005..0.11).contains(&s)));
    }

    #[test]
    fn part_scores_are_means() {
        let mut person = Person::new([0.0; 4], 0.5);
        for (index, score) in [(17, 0.6), (22, 0.6), (23, 0.9), (500, 1.0)] {
            person.set(index, [1.0, 2.0], score);
        }
        assert!((person.part_score(Part::Foot) - 0.2).abs() < 1e-6);
        assert_eq!(person.part_score(Part::LeftHand), 0.0);
        assert_eq!(person.get(23), ([1.0, 2.0], 0.9));
        assert_eq!(person.get(500), ([0.0; 2], 0.0));
    }
}
