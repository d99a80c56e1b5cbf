//! Looks laid over each other: what agrees is joined, what one look alone sees is trusted less.

use super::*;

fn centre(x: f32, score: f32) -> Centre {
    let expected = std::array::from_fn(|joint| [x, 10.0 * joint as f32]);
    Centre {
        score,
        bbox: [x - 40.0, 0.0, x + 40.0, 160.0],
        expected,
        decoded: expected.map(|at| (at, 0.0)),
    }
}

fn sight(centres: Vec<Centre>, noses: Vec<([f32; 2], f32)>) -> Sight {
    let mut peaks: [Vec<([f32; 2], f32)>; JOINTS] = Default::default();
    peaks[0] = noses;
    Sight { centres, peaks }
}

#[test]
fn centres_of_one_person_become_one_and_count_by_the_looks_that_see_them() {
    let sights = [
        sight(vec![centre(100.0, 0.8), centre(300.0, 0.5)], vec![]),
        sight(vec![centre(104.0, 0.8)], vec![]),
    ];
    let merged = merge_centres(&sights);
    assert_eq!(merged.len(), 2);
    let middle = merged[0].middle()[0];
    assert!((middle - 102.0).abs() < 0.3, "{middle}");
    assert!((merged[0].expected[4][0] - middle).abs() < 1e-3);
    assert!(merged[0].score > 0.7 && merged[0].score <= 0.8);
    assert!((merged[1].score - 0.25).abs() < 1e-6, "one look of two");
}

#[test]
fn peaks_that_lie_together_become_one_between_them_and_far_ones_stay_apart() {
    let person = centre(100.0, 0.8);
    let sights = [
        sight(vec![], vec![([100.0, 0.0], 0.6), ([160.0, 0.0], 0.4)]),
        sight(vec![], vec![([102.0, 0.0], 0.6)]),
    ];
    let spots = merge_peaks(&sights, 0, &[person], 50.0);
    assert_eq!(spots.len(), 2);
    assert!((spots[0].at[0] - 101.0).abs() < 0.3, "{}", spots[0].at[0]);
    assert!(spots[0].support > 0.5 && spots[0].support <= 0.6);
    assert!((spots[1].at[0] - 160.0).abs() < 1e-3);
    assert!((spots[1].support - 0.2).abs() < 1e-3);
}

#[test]
fn a_mirrored_body_has_its_sides_changed_and_mirrors_back() {
    let body = FoundBody {
        joints: std::array::from_fn(|joint| ([joint as f32, 5.0], 0.1 * joint as f32)),
        bbox: [1.0, 2.0, 11.0, 22.0],
        score: 0.7,
    };
    let there = mirrored(&body, 100.0);
    assert_eq!(
        there.joints[5].0,
        [94.0, 5.0],
        "the left shoulder was the right one"
    );
    assert_eq!(there.bbox, [89.0, 2.0, 99.0, 22.0]);
    assert_eq!(mirrored(&there, 100.0), body);
}

#[test]
fn the_looks_at_a_picture_and_at_its_mirror_image_find_the_same() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let store = crate::weights::Store::at(root.join("weights"));
    let checkpoint = store.open("multipose", &candle_core::Device::Cpu).unwrap();
    let network = checkpoint.load(MultiPose::load).unwrap();
    let photo = crate::photo::open(&root.join("tests/data/people/multipose_a.png")).unwrap();
    let plain = Proposal::of(&network, &photo.rgb, 192).unwrap();
    let turned = Proposal::of(&network, &photo.rgb.flipped(), 192).unwrap();
    let (a, b) = (&plain.centres[0], &turned.centres[0]);
    assert!((a.score - b.score).abs() < 1e-3);
    let width = photo.rgb.width as f64 / plain.image_from_view.scale();
    for (joint, at) in a.expected.iter().enumerate() {
        let [x, y] = b.expected[MIRRORED[joint]];
        assert!((at[0] - (width as f32 - x)).abs() < 0.1 && (at[1] - y).abs() < 0.1);
    }
    let count = plain.candidates.len().abs_diff(turned.candidates.len());
    assert!(count <= 2, "{count}");
}
