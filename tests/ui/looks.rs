//! Layout, pictures of the window, and what a frame costs.

use super::*;

#[test]
fn everything_fits_at_the_smallest_size() {
    let mut window = Window::new();
    window.click("Live"); // shows one more button
    window.stroke(&[[80.0, 150.0], [120.0, 150.0]]);
    let screen = Rect::from_min_size(pos2(0.0, 0.0), SIZE);
    let mut last_right = 0.0;
    for name in [
        "Open…",
        "Save result…",
        "Save mask…",
        "Undo",
        "Redo",
        "Live",
        "Render",
        "Weights",
        "Settings",
    ] {
        let rect = window.harness.get_by_label(name).rect();
        assert!(screen.contains_rect(rect), "{name} at {rect:?}");
        assert!(rect.left() >= last_right, "{name} lies on the one before");
        last_right = rect.right();
    }
    for name in [
        "Background",
        "Choose a style photo",
        "Messages",
        "Frame a face",
        "Fit",
        "Difference",
    ] {
        assert!(
            screen.contains_rect(window.harness.get_by_label(name).rect()),
            "{name}"
        );
    }
}

/// A part of the window as a small picture.
fn snapshot(window: &mut Window, name: &str, rect: Rect) {
    window.harness.remove_cursor();
    window.harness.run_steps(3);
    let shown = window.harness.render().unwrap();
    let [x, y, w, h] =
        [rect.left(), rect.top(), rect.width(), rect.height()].map(|v| v.round() as u32);
    let part = image::imageops::crop_imm(&shown, x, y, w, h).to_image();
    // Drivers round the edges of lines and circles differently.
    let options = SnapshotOptions::new().threshold(1.6).max_failed_pixels(60);
    egui_kittest::image_snapshot_options(&part, name, &options);
}

#[test]
fn snapshots() {
    let mut window = Window::new();
    window.key(Key::Num0, Modifiers::NONE);
    window.stroke(&[[100.0, 250.0], [160.0, 290.0], [220.0, 250.0]]);
    let side = Rect::from_min_max(pos2(0.0, 42.0), pos2(216.0, 668.0));
    snapshot(&mut window, "side_panel", side);
    let canvas = window.canvas("Mask canvas");
    snapshot(&mut window, "mask_canvas", canvas);

    let result = window.canvas("Result canvas");
    let line = pos2(result.left() + 1.0, result.top() + 80.0);
    window.harness.hover_at(line);
    window.button(line, PointerButton::Primary, true, Modifiers::NONE);
    let middle = window.on("Result canvas", [160.0, 100.0]);
    window.harness.hover_at(pos2(line.x + 60.0, line.y));
    window.harness.hover_at(middle);
    window.button(middle, PointerButton::Primary, false, Modifiers::NONE);
    window.harness.step();
    snapshot(&mut window, "before_after", result);
}

/// Prints what a frame costs while a wide brush paints on large photos.
/// `cargo test --release --test main frame_times -- --ignored --nocapture`
#[test]
#[ignore = "a measurement, not a test"]
fn frame_times() {
    for side in [512, 1024, 2048, 4096, 8192] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("large.png");
        photo::save_png(&path, &Rgb::new(side, side, [120, 110, 100])).unwrap();
        let mut window = Window::open(Stub::new(side, side), Some(path), folder);
        window.settle();
        window.click("Live");
        for _ in 0..30 {
            window.key(Key::CloseBracket, Modifiers::NONE);
        }
        let uploaded = window.edit().texture.uploaded_bytes();
        let middle = side as f32 / 2.0;
        let mut times = Vec::new();
        window.press_and_move(&[[middle - side as f32 * 0.2, middle]]);
        for i in 0..120 {
            let angle = i as f32 * 0.1;
            let radius = side as f32 * 0.2;
            let point = window.at([middle - radius * angle.cos(), middle + radius * angle.sin()]);
            window.harness.hover_at(point);
            let start = std::time::Instant::now();
            window.harness.step();
            let shapes = window.harness.output().shapes.clone();
            drop(window.harness.ctx.tessellate(shapes, 1.0));
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        window.release([middle, middle]);
        times.sort_by(f64::total_cmp);
        let uploaded = (window.edit().texture.uploaded_bytes() - uploaded) / times.len() as u64;
        println!(
            "{side}²: frame median {:.2} ms, 95 % {:.2} ms, {} kB uploaded a frame, {} kB of undo",
            times[times.len() / 2],
            times[times.len() * 95 / 100],
            uploaded / 1024,
            window.edit().history.bytes() / 1024,
        );
    }
}
