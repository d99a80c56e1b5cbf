//! The two orders in which the same 19 classes are numbered, and which of them a mask of bare numbers is in.
//!
//! CelebAMask-HQ's order is this program's. The parser that most people use (zllrunning's BiSeNet) numbers them
//! otherwise, and its masks look the same from outside. What tells them apart is where things are: in the right order
//! brows lie above eyes and the nose above the lips.

use super::Labels;
use crate::face::labels::{BISENET_TO_CLASS, CLASS_COUNT, id};

/// In which order a mask's numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Official,
    BiSeNet,
}

/// By how many rules more an order has to win.
const MARGIN: i32 = 2;

/// `a` lies above `b` in an upright face.
const ABOVE: [(u8, u8); 13] = [
    (id::L_BROW, id::L_EYE),
    (id::R_BROW, id::R_EYE),
    (id::L_EYE, id::NOSE),
    (id::R_EYE, id::NOSE),
    (id::NOSE, id::U_LIP),
    (id::NOSE, id::MOUTH),
    (id::U_LIP, id::L_LIP),
    (id::U_LIP, id::NECK),
    (id::HAIR, id::NECK),
    (id::HAIR, id::CLOTH),
    (id::NECK, id::CLOTH),
    (id::HAT, id::NOSE),
    (id::EYE_G, id::U_LIP),
];

/// `a` is larger than `b`.
const LARGER: [(u8, u8); 6] = [
    (id::SKIN, id::NOSE),
    (id::HAIR, id::NOSE),
    (id::HAIR, id::L_LIP),
    (id::CLOTH, id::NECK_L),
    (id::NECK, id::U_LIP),
    (id::NOSE, id::L_BROW),
];

/// `a` lies further right in the picture: the subject's left.
const RIGHT: [(u8, u8); 3] = [
    (id::L_BROW, id::R_BROW),
    (id::L_EYE, id::R_EYE),
    (id::L_EAR, id::R_EAR),
];

/// The order that fits better, and whether it is clear.
pub fn likely_order(ids: &Labels) -> (Order, bool) {
    let found = Found::of(ids);
    let score = |order: Order| found.score(|class| to_id(order, class));
    let (official, bisenet) = (score(Order::Official), score(Order::BiSeNet));
    let is_same = (0..CLASS_COUNT).all(|i| found.area[i] == 0 || BISENET_TO_CLASS[i] as usize == i);
    if bisenet >= official + MARGIN {
        (Order::BiSeNet, true)
    } else {
        (Order::Official, is_same || official >= bisenet + MARGIN)
    }
}

/// The number that a class has in an order.
pub fn to_id(order: Order, class: u8) -> u8 {
    let position = || BISENET_TO_CLASS.iter().position(|c| *c == class);
    match order {
        Order::Official => class,
        Order::BiSeNet => position().map_or(class, |position| position as u8),
    }
}

/// Numbers of BiSeNet's order brought to the official one.
pub fn from_bisenet(ids: &Labels) -> Labels {
    ids.map(|id| BISENET_TO_CLASS[usize::from(*id).min(CLASS_COUNT - 1)])
}

/// Where each number is, and how often.
struct Found {
    area: [usize; CLASS_COUNT],
    center: [[f64; 2]; CLASS_COUNT],
}

impl Found {
    fn of(ids: &Labels) -> Self {
        let mut area = [0; CLASS_COUNT];
        let mut center = [[0.0; 2]; CLASS_COUNT];
        for (y, row) in ids.rows().enumerate() {
            for (x, id) in row.iter().enumerate() {
                let id = usize::from(*id).min(CLASS_COUNT - 1);
                area[id] += 1;
                center[id][0] += x as f64;
                center[id][1] += y as f64;
            }
        }
        for (center, area) in center.iter_mut().zip(area) {
            *center = center.map(|sum| sum / area.max(1) as f64);
        }
        Self { area, center }
    }

    /// Rules that hold less rules that do not, if classes had these numbers.
    fn score(&self, id_of: impl Fn(u8) -> u8) -> i32 {
        let count = |rules: &[(u8, u8)], holds: &dyn Fn(usize, usize) -> bool| -> i32 {
            let ids = rules.iter().map(|(a, b)| (id_of(*a), id_of(*b)));
            ids.map(|(a, b)| (usize::from(a), usize::from(b)))
                .filter(|(a, b)| self.area[*a] > 0 && self.area[*b] > 0)
                .map(|(a, b)| if holds(a, b) { 1 } else { -1 })
                .sum()
        };
        count(&ABOVE, &|a, b| self.center[a][1] < self.center[b][1])
            + count(&LARGER, &|a, b| self.area[a] > self.area[b])
            + count(&RIGHT, &|a, b| self.center[a][0] > self.center[b][0])
    }
}
