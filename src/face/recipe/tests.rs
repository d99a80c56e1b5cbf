//! Recipes of drawn faces: the same face gives the same edit, another face its own.

use super::*;
use crate::face::edit::face_from_box;
use crate::face::labels::id;
use crate::face::mask::class_rect;

/// A face of ellipses in a square picture: hair, skin, eyes, brows, nose, and a mouth with this centre and half axes in
/// 512ths.
fn face(side: usize, mouth: [f32; 4]) -> Labels {
    let scale = side as f32 / SIDE as f32;
    let parts: [(u8, [f32; 4]); 9] = [
        (id::HAIR, [256.0, 190.0, 200.0, 180.0]),
        (id::SKIN, [256.0, 270.0, 150.0, 190.0]),
        (id::R_BROW, [192.0, 205.0, 40.0, 8.0]),
        (id::L_BROW, [320.0, 205.0, 40.0, 8.0]),
        (id::R_EYE, [192.0, 240.0, 28.0, 12.0]),
        (id::L_EYE, [320.0, 240.0, 28.0, 12.0]),
        (id::NOSE, [256.0, 290.0, 25.0, 40.0]),
        (id::U_LIP, mouth),
        (
            id::L_LIP,
            [mouth[0], mouth[1] + mouth[3], mouth[2] * 0.9, mouth[3]],
        ),
    ];
    let mut mask = Grid::new(side, side, id::BACKGROUND);
    for y in 0..side {
        for x in 0..side {
            let (u, v) = ((x as f32 + 0.5) / scale, (y as f32 + 0.5) / scale);
            for (class, [cx, cy, rx, ry]) in parts {
                if ((u - cx) / rx).powi(2) + ((v - cy) / ry).powi(2) <= 1.0 {
                    mask.set(x, y, class);
                }
            }
        }
    }
    mask
}

fn whole(side: usize) -> Face {
    face_from_box([0.0, 0.0, side as f32, side as f32])
}

const MOUTH: [f32; 4] = [256.0, 370.0, 50.0, 10.0];

/// The mouth becomes wider by a fifth.
fn wider() -> Recipe {
    let wide = [256.0, 370.0, 60.0, 10.0];
    let (before, after) = (face(SIDE, MOUTH), face(SIDE, wide));
    Recipe::of(&whole(SIDE), &before, &after, "me.jpg").unwrap()
}

fn lips(mask: &Labels) -> crate::raster::Rect {
    class_rect(mask, |label| matches!(label, id::U_LIP | id::L_LIP))
}

fn applied(recipe: &Recipe, mask: &Labels) -> Labels {
    let mut mask = mask.clone();
    if let Some(mut patch) = recipe.apply(&whole(mask.width), &mask) {
        patch.swap(&mut mask);
    }
    mask
}

#[test]
fn a_recipe_survives_its_file() {
    let recipe = wider();
    let again = Recipe::decode(&recipe.encode().unwrap()).unwrap();
    assert_eq!(again, recipe);
    assert_eq!(recipe.changed(), [id::SKIN, id::U_LIP, id::L_LIP]);
    let mask = face(SIDE, MOUTH);
    let nothing = Recipe::of(&whole(SIDE), &mask, &mask, "me.jpg");
    assert!(
        nothing
            .unwrap_err()
            .to_string()
            .contains("Nothing was painted")
    );
}

#[test]
fn damaged_recipes_are_refused_in_words() {
    let text = String::from_utf8(wider().encode().unwrap()).unwrap();
    let message = |text: &str| format!("{:#}", Recipe::decode(text.as_bytes()).unwrap_err());
    assert!(message("{}").contains("not a recipe"));
    assert!(message(&text.replace("\"version\": 1", "\"version\": 2")).contains("newer"));
    assert!(message(&text.replace("u_lip", "beak")).contains("beak"));
    assert!(message(&text.replace("512,", "500,")).contains("damaged"));
    for at in (0..text.len()).step_by(41) {
        let mut bad = text.clone().into_bytes();
        bad[at] ^= 0x15;
        Recipe::decode(&bad).ok();
    }
}

#[test]
fn on_its_own_face_a_recipe_gives_the_same_edit() {
    let wide = face(SIDE, [256.0, 370.0, 60.0, 10.0]);
    let recipe = wider();
    assert_eq!(recipe.replay().in_crop(&face(SIDE, MOUTH)), wide);
    // In a photo of another size the outline is where it was, to a pixel or so.
    let large = applied(&recipe, &face(1500, MOUTH));
    let want = face(1500, [256.0, 370.0, 60.0, 10.0]);
    let differ = large
        .data
        .iter()
        .zip(&want.data)
        .filter(|(a, b)| a != b)
        .count();
    let changed = want
        .data
        .iter()
        .zip(&face(1500, MOUTH).data)
        .filter(|(a, b)| a != b)
        .count();
    assert!(differ * 8 < changed, "{differ} of {changed}");
}

#[test]
fn another_mouth_is_widened_by_as_much_of_its_own_width() {
    for (mouth, half) in [
        ([250.0, 380.0, 70.0, 14.0], 84.0),
        ([262.0, 360.0, 36.0, 8.0], 43.2),
    ] {
        let own = face(SIDE, mouth);
        let edited = applied(&wider(), &own);
        let rect = lips(&edited);
        let width = rect.width as f32 / 2.0;
        assert!((width - half).abs() < 3.0, "{width} not {half}");
        // Its height and its place stay its own.
        assert!(rect.height.abs_diff(lips(&own).height) <= 2);
        let middle = rect.x as f32 + width;
        assert!((middle - mouth[0]).abs() < 2.0, "{middle}");
        // Nothing else has changed.
        for (y, (a, b)) in own.rows().zip(edited.rows()).enumerate() {
            assert!(a == b || (320..440).contains(&y), "row {y}");
        }
    }
}

#[test]
fn what_was_painted_anew_goes_over_and_what_was_removed_goes() {
    let before = face(SIDE, MOUTH);
    let mut after = before.clone();
    for y in 120..185 {
        after.row_mut(y)[150..362].fill(id::HAIR);
    }
    let fringe = Recipe::of(&whole(SIDE), &before, &after, "").unwrap();
    let own = face(SIDE, [250.0, 380.0, 70.0, 14.0]);
    let edited = applied(&fringe, &own);
    assert_eq!(edited.get(256, 150), Some(&id::HAIR));
    assert_eq!(edited.get(256, 176), Some(&id::HAIR));
    assert_eq!(edited.get(192, 205), Some(&id::R_BROW));
    assert_eq!(edited.get(256, 230), Some(&id::SKIN));
    assert_eq!(lips(&edited), lips(&own));

    // Brows that go: wherever the other face has them.
    let bare = before.map(|label| match *label {
        id::L_BROW | id::R_BROW => id::SKIN,
        other => other,
    });
    let shaved = Recipe::of(&whole(SIDE), &before, &bare, "").unwrap();
    let mut own = before.clone();
    own.row_mut(160)[180..220].fill(id::R_BROW);
    let edited = applied(&shaved, &own);
    assert!(!edited.data.contains(&id::R_BROW) && !edited.data.contains(&id::L_BROW));
    assert_eq!(edited.get(192, 205), Some(&id::SKIN));
}
