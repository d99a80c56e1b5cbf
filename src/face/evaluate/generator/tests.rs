//! The evaluation itself, with a renderer that is perfect and one that is useless.

use super::*;
use crate::face::labels::id;

/// Two faces of coloured parts whose mouths differ, with texture so that every baseline has something to lose.
fn faces() -> Faces {
    let side = 512;
    let make = |mouth_width: usize| {
        let mut mask = Grid::new(side, side, id::BACKGROUND);
        let mut rect = |class: u8, x: usize, y: usize, w: usize, h: usize| {
            for row in y..y + h {
                mask.row_mut(row)[x..x + w].fill(class);
            }
        };
        rect(id::HAIR, 90, 40, 330, 300);
        rect(id::SKIN, 130, 110, 250, 340);
        rect(id::R_EYE, 170, 230, 50, 20);
        rect(id::L_EYE, 290, 230, 50, 20);
        rect(id::R_BROW, 165, 200, 60, 12);
        rect(id::L_BROW, 285, 200, 60, 12);
        rect(id::NOSE, 235, 250, 45, 70);
        rect(id::U_LIP, 256 - mouth_width / 2, 360, mouth_width, 16);
        rect(id::L_LIP, 256 - mouth_width / 2, 376, mouth_width, 20);
        let mut photo = Rgb::new(side, side, [0; 3]);
        for (i, pixel) in photo.data.chunks_exact_mut(3).enumerate() {
            let class = mask.data[i];
            let wave =
                ((i % side) as f32 / 9.0).sin() * 20.0 + ((i / side) as f32 / 5.0).cos() * 20.0;
            for (c, v) in pixel.iter_mut().enumerate() {
                let base =
                    60.0 + f32::from(class.wrapping_mul(37).wrapping_add(50 * c as u8) % 130);
                *v = (base + wave) as u8;
            }
        }
        (photo, mask)
    };
    let (photos, masks): (Vec<Rgb>, Vec<Labels>) = [make(90), make(150)].into_iter().unzip();
    Faces {
        side,
        names: vec!["a".into(), "b".into()],
        photos,
        masks,
    }
}

#[test]
fn a_perfect_renderer_is_perfect_and_transplants_are_judged_against_what_was_painted() {
    // The renderer is handed the truth: the window's own pixels. The judge knows the truth of the photo and nothing of
    // the edit. Only the mouths differ, so only they can be transplanted.
    let faces = faces();
    let smalls: Vec<Labels> = faces.masks.iter().map(small).collect();
    let truths: Vec<Rgb> = faces
        .photos
        .iter()
        .map(|p| resize_rgb(p, SIDE, SIDE))
        .collect();
    let judge = |picture: &Rgb| {
        let near = |truth: &Rgb| psnr(picture, truth, None).unwrap();
        Ok(smalls[usize::from(near(&truths[1]) > near(&truths[0]))].clone())
    };
    let evaluation = evaluate(
        &faces,
        &|_, _| Ok(()),
        &|(), photo, _, _, _| Ok(photo.clone()),
        &judge,
        &Out::<()>::silent(),
    )
    .unwrap();
    assert!(evaluation.sheet.width > 2 * 4 * SIDE);
    let report = evaluation.report;
    assert_eq!((report.faces, report.whole.faces), (2, 2));
    // Equal pictures have no finite PSNR, and so no gain; SSIM and energy ratio are 1.
    let parts = report.parts.iter().map(|p| {
        assert_eq!((p.faces, p.gain_over_telea_db), (2, None));
        assert!(
            p.fills[1..]
                .iter()
                .all(|s| s.psnr_db.unwrap() < 30.0 && s.ssim.unwrap() < 0.9)
        );
        &p.fills[0]
    });
    for own in parts.chain([&report.whole.fills[0]]) {
        assert_eq!(own.psnr_db, None);
        assert!((own.ssim.unwrap() - 1.0).abs() < 1e-9);
        assert_eq!(own.laplacian_ratio, Some(1.0));
    }

    let mouth = &report.transplants[0];
    assert_eq!((mouth.part, mouth.faces), (Part::Mouth, 2));
    assert_eq!(mouth.iou_of_photo, Some(1.0));
    let (fill, iou) = mouth.iou[0];
    assert_eq!(fill, Fill::Generator);
    // The hole holds the corners of the mouth only: its middle is lips in both masks.
    assert!((0.3..0.45).contains(&iou.unwrap()), "{iou:?}");
    assert_eq!(report.transplants[3].faces, 0);
    assert_eq!(report.transplants[3].iou_of_photo, None);
    let goal = report
        .goals
        .iter()
        .find(|g| g.name.starts_with("(c)"))
        .unwrap();
    assert!(!goal.is_met && goal.value.unwrap() > 0.3);
    // Both forms can be printed.
    assert!(report.to_string().contains("hair edge"));
    assert!(
        serde_json::to_string(&report)
            .unwrap()
            .contains("gain_over_telea_db")
    );
}

#[test]
fn a_renderer_of_class_means_gains_nothing_over_them() {
    let faces = faces();
    let means = |photo: &Rgb, mask: &Labels| {
        let hole = Grid::new(photo.width, photo.height, 1u8);
        Ok((photo.clone(), mask.clone(), hole))
    };
    let evaluation = evaluate(
        &faces,
        &means,
        &|(photo, mask, _), seen, target, hole, _| {
            Ok(class_mean_fill(seen, target, hole, photo, mask))
        },
        &|picture| Ok(Grid::new(picture.width, picture.height, 0)),
        &Out::<()>::silent(),
    )
    .unwrap();
    let report = evaluation.report;
    assert_eq!(report.whole.gain_over_class_mean_db, Some(0.0));
    for part in &report.parts {
        assert!(
            part.gain_over_class_mean_db.unwrap().abs() < 1.5,
            "{part:?}"
        );
    }
    let goal = &report.goals[0];
    assert!(!goal.is_met && goal.wanted == 1.5, "{goal:?}");
}
