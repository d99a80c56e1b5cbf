//! The shaders: valid WGSL, uniforms laid out as in Rust, and pixels equal to a CPU twin where there is logic.

use std::collections::BTreeMap;
use std::mem::offset_of;
use std::sync::Arc;

use eframe::egui_wgpu::wgpu::naga;
use vitruvian::gpu::{
    self, CLASS_SLOTS, Gpu, HeatmapUniform, Layer, LinesUniform, MaskLayer, MaskTexture,
    MaskUniform, PictureLayer, PictureTexture, PictureUniform, SHADERS, View, ViewUniform,
};
use vitruvian::raster::{Grid, Rect, Rgb};

pub fn module(name: &str) -> naga::Module {
    let (_, source) = SHADERS.iter().find(|(n, _)| *n == name).unwrap();
    naga::front::wgsl::parse_str(source)
        .unwrap_or_else(|err| panic!("{name}: {}", err.emit_to_string(source)))
}

#[test]
fn every_shader_is_valid_and_every_file_is_listed() {
    for (name, _) in SHADERS {
        let mut validator = naga::valid::Validator::new(
            naga::valid::ValidationFlags::all(),
            naga::valid::Capabilities::empty(),
        );
        if let Err(err) = validator.validate(&module(name)) {
            panic!("{name}: {err:?}");
        }
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/shaders");
    let files = std::fs::read_dir(folder).unwrap();
    let names = files.map(|f| f.unwrap().path().file_stem().unwrap().to_owned());
    let mut names: Vec<_> = names.map(|n| n.into_string().unwrap()).collect();
    names.sort();
    let drawn_or_computed = SHADERS.iter().map(|(name, _)| *name);
    let mut listed: Vec<_> = drawn_or_computed.chain(["common"]).collect();
    listed.sort();
    assert_eq!(names, listed);
}

/// Offsets of a WGSL struct's members, and its size under the name "".
fn layout(shader: &str, name: &str) -> BTreeMap<String, usize> {
    let module = module(shader);
    let mut types = module.types.iter();
    let found = types.find(|(_, ty)| ty.name.as_deref() == Some(name));
    let naga::TypeInner::Struct { members, span } = &found.unwrap().1.inner else {
        panic!("{name} is not a struct")
    };
    let offset = |m: &naga::StructMember| (m.name.clone().unwrap(), m.offset as usize);
    let offsets = members.iter().map(offset);
    offsets.chain([(String::new(), *span as usize)]).collect()
}

#[test]
fn uniforms_are_laid_out_as_in_rust() {
    macro_rules! same {
        ($shader:literal, $wgsl:literal, $rust:ty, $($field:ident),*) => {
            let rust = [$((stringify!($field).to_owned(), offset_of!($rust, $field))),*,
                (String::new(), size_of::<$rust>())];
            assert_eq!(layout($shader, $wgsl), BTreeMap::from(rust), $wgsl);
        };
    }
    same!(
        "picture",
        "View",
        ViewUniform,
        offset_in_image,
        image_from_px,
        framebuffer_is_srgb,
        framebuffer_px
    );
    same!(
        "picture",
        "Picture",
        PictureUniform,
        rect_in_image,
        size_texels,
        span_px
    );
    same!(
        "mask",
        "Mask",
        MaskUniform,
        size_in_image,
        texels_from_image,
        opacity,
        outline_px,
        active_class,
        brush_in_image,
        brush_radius,
        pixels_per_point,
        colors
    );
    same!(
        "heatmap",
        "Heatmap",
        HeatmapUniform,
        grid_from_image,
        stops,
        levels,
        range,
        opacity,
        fade_in,
        contour_px,
        contour_count
    );
    same!(
        "lines",
        "Lines",
        LinesUniform,
        border_color,
        border_px,
        opacity,
        pixels_per_point
    );
}

pub fn view(offset_in_image: [f32; 2], image_from_px: f32) -> View {
    View {
        offset_in_image,
        image_from_px,
    }
}

fn rect(x: usize, y: usize, width: usize, height: usize) -> Rect {
    Rect {
        x,
        y,
        width,
        height,
    }
}

fn grid(width: usize, height: usize, data: Vec<u8>) -> Grid<u8> {
    Grid {
        width,
        height,
        data,
    }
}

pub fn pixel(picture: &Rgb, x: usize, y: usize) -> [u8; 3] {
    picture.data.as_chunks::<3>().0[y * picture.width + x]
}

pub fn close(a: [u8; 3], b: [u8; 3], tolerance: u8) -> bool {
    std::iter::zip(a, b).all(|(a, b)| a.abs_diff(b) <= tolerance)
}

fn rgb(width: usize, height: usize, at: impl Fn(usize, usize) -> [u8; 3]) -> Rgb {
    let pixels = (0..width * height).flat_map(|i| at(i % width, i / width));
    let data = pixels.collect();
    Rgb {
        width,
        height,
        data,
    }
}

/// A photo whose every pixel differs from its neighbours.
fn photo(width: usize, height: usize) -> Rgb {
    rgb(width, height, |x, y| {
        [x * 37, y * 53, (x + y) * 11].map(|v| (v % 256) as u8)
    })
}

fn picture(gpu: &Gpu, photo: &Rgb) -> Layer {
    Layer::Picture(PictureLayer::new(Arc::new(PictureTexture::new(gpu, photo))))
}

#[test]
fn a_photo_at_scale_one_is_drawn_unchanged_and_moves_with_the_view() {
    let gpu = Gpu::headless().unwrap();
    let photo = photo(70, 41);
    let stack = [picture(&gpu, &photo)];
    let shown = gpu::draw(&gpu, view([0.0, 0.0], 1.0), &stack, 70, 41).unwrap();
    assert_eq!(shown, photo);

    let moved = gpu::draw(&gpu, view([-3.0, 5.0], 1.0), &stack, 70, 41).unwrap();
    assert_eq!(pixel(&moved, 2, 0), [0, 0, 0], "nothing is drawn outside");
    assert_eq!(pixel(&moved, 3, 0), pixel(&photo, 0, 5));
    assert_eq!(pixel(&moved, 69, 35), pixel(&photo, 66, 40));
    assert_eq!(pixel(&moved, 69, 36), [0, 0, 0]);
}

#[test]
fn a_strongly_magnified_photo_shows_crisp_pixels() {
    let gpu = Gpu::headless().unwrap();
    let photo = photo(8, 8);
    let view = view([0.0, 0.0], 1.0 / 16.0);
    let shown = gpu::draw(&gpu, view, &[picture(&gpu, &photo)], 128, 128).unwrap();
    for y in 0..128 {
        for x in 0..128 {
            // One framebuffer pixel on either side of an edge may be a mix.
            if (1..15).contains(&(x % 16)) && (1..15).contains(&(y % 16)) {
                let (is, should) = (pixel(&shown, x, y), pixel(&photo, x / 16, y / 16));
                assert!(close(is, should, 1), "({x}, {y}): {is:?} for {should:?}");
            }
        }
    }
}

#[test]
fn a_reduced_photo_is_averaged_in_linear_light() {
    let gpu = Gpu::headless().unwrap();
    let photo = rgb(64, 64, |x, y| [255 * ((x + y) % 2) as u8; 3]);
    let stack = [picture(&gpu, &photo)];
    let shown = gpu::draw(&gpu, view([0.0, 0.0], 8.0), &stack, 8, 8).unwrap();
    // Half the light is 188 in sRGB; averaging the bytes would give 128.
    let right = shown.data.iter().all(|v| v.abs_diff(188) <= 2);
    assert!(right, "{:?}", &shown.data[..9]);
}

#[test]
fn the_split_shows_the_patch_on_one_side_only() {
    let gpu = Gpu::headless().unwrap();
    let before = rgb(40, 30, |_, _| [200, 10, 10]);
    let green = rgb(20, 10, |_, _| [10, 200, 10]);
    let patch = PictureTexture::patch(&gpu, &green, rect(10, 5, 20, 10));
    let mut after = PictureLayer::new(Arc::new(patch));
    after.span_px = [16.0, f32::MAX];
    let stack = [picture(&gpu, &before), Layer::Picture(after)];
    let shown = gpu::draw(&gpu, view([0.0, 0.0], 1.0), &stack, 40, 30).unwrap();
    let should = rgb(40, 30, |x, y| {
        let changed = (16..30).contains(&x) && (5..15).contains(&y);
        if changed {
            [10, 200, 10]
        } else {
            [200, 10, 10]
        }
    });
    assert_eq!(shown, should);
}

#[test]
fn a_photo_larger_than_a_texture_is_shown_reduced() {
    let gpu = Gpu::headless().unwrap();
    let photo = rgb(
        20_000,
        6,
        |x, _| if x < 19_000 { [90; 3] } else { [250; 3] },
    );
    let label = |i: usize| u8::from((18_000..18_500).contains(&(i % 20_000)));
    let labels = grid(20_000, 6, (0..20_000 * 6).map(label).collect());
    let mut mask = mask_layer(Arc::new(MaskTexture::new(&gpu, &labels)));
    (mask.outline_px, mask.opacity) = (0.0, 1.0);
    let stack = [picture(&gpu, &photo), Layer::Mask(Box::new(mask))];
    let shown = gpu::draw(&gpu, view([17_900.0, -22.0], 50.0), &stack, 42, 1).unwrap();
    assert!(close(pixel(&shown, 0, 0), [90; 3], 1));
    let painted = pixel(&shown, 7, 0);
    assert!(close(painted, [0, 0, 255], 1), "painted there: {painted:?}");
    assert!(close(pixel(&shown, 15, 0), [90; 3], 1));
    assert!(close(pixel(&shown, 30, 0), [250; 3], 1));
}

/// Class 1 blue, class 2 orange, class 3 hidden, the rest unused.
fn colors() -> [[f32; 4]; CLASS_SLOTS] {
    let mut colors = [[0.0; 4]; CLASS_SLOTS];
    colors[1] = [0.0, 0.0, 1.0, 1.0];
    colors[2] = [1.0, 0.5, 0.0, 1.0];
    colors[3] = [0.0, 1.0, 0.0, 0.0];
    colors
}

fn mask_layer(texture: Arc<MaskTexture>) -> MaskLayer {
    MaskLayer {
        texture,
        colors: colors(),
        opacity: 0.5,
        outline_px: 1.5,
        active_class: 2,
        brush: None,
        pixels_per_point: 1.0,
    }
}

/// Blobs of classes 0 to 3.
fn labels() -> Grid<u8> {
    let class = |x: usize, y: usize| match (x, y) {
        (4..9, 3..12) => 1,
        (9..14, 3..8) => 2,
        (12..18, 10..15) => 3,
        (2, 14) => 2,
        _ => 0,
    };
    grid(
        20,
        16,
        (0..20 * 16).map(|i| class(i % 20, i / 20)).collect(),
    )
}

/// What `mask.wgsl` computes, written a second time for the CPU: colour over black at a framebuffer pixel.
fn twin(layer: &MaskLayer, labels: &Grid<u8>, view: View, x: usize, y: usize) -> [f32; 3] {
    let at = |tx: f32, ty: f32| {
        let x = (tx.floor() as i64).clamp(0, labels.width as i64 - 1) as usize;
        let y = (ty.floor() as i64).clamp(0, labels.height as i64 - 1) as usize;
        labels.data[y * labels.width + x]
    };
    let scale = view.image_from_px;
    let px = view.offset_in_image[0] + (x as f32 + 0.5) * scale;
    let py = view.offset_in_image[1] + (y as f32 + 0.5) * scale;
    let mut color = [0.0; 3];
    let mut blend = |top: [f32; 3], alpha: f32| {
        let mixed = |c: &mut f32, top: f32| *c = top * alpha + *c * (1.0 - alpha);
        std::iter::zip(&mut color, top).for_each(|(c, top)| mixed(c, top));
    };
    let [width, height] = [labels.width, labels.height].map(|side| side as f32);
    if px >= 0.0 && py >= 0.0 && px < width && py < height {
        let d = scale * 0.25;
        let four = vec![[d, d], [-d, d], [d, -d], [-d, -d]];
        let taps = if scale > 1.0 { four } else { vec![[0.0; 2]] };
        let (mut tint, mut alpha) = ([0.0; 3], 0.0);
        for [dx, dy] in &taps {
            let [r, g, b, shown] = layer.colors[at(px + dx, py + dy) as usize];
            let weight = shown * layer.opacity / taps.len() as f32;
            std::iter::zip(&mut tint, [r, g, b]).for_each(|(t, c)| *t += c * weight);
            alpha += weight;
        }
        if alpha > 0.0 {
            blend(tint.map(|t| t / alpha), alpha);
        }
        let label = at(px, py);
        let [r, g, b, shown] = layer.colors[label as usize];
        if shown > 0.0 {
            let coverage = outline(layer, at, [px, py], scale);
            let bright = if label == layer.active_class {
                0.6
            } else {
                0.0
            };
            blend([r, g, b].map(|c| c + (1.0 - c) * bright), coverage);
        }
    }
    if let Some(([cx, cy], radius)) = layer.brush {
        let edge = ((px - cx).hypot(py - cy) - radius) / scale;
        let width = layer.pixels_per_point;
        let dark = 0.5 * width + 0.5 - (edge - 1.5 * width).abs();
        blend([0.0; 3], dark.clamp(0.0, 1.0) * 0.6);
        blend([1.0; 3], (0.75 * width + 0.5 - edge.abs()).clamp(0.0, 1.0));
    }
    color
}

fn outline(layer: &MaskLayer, at: impl Fn(f32, f32) -> u8, [px, py]: [f32; 2], scale: f32) -> f32 {
    let label = at(px, py);
    let width = layer.outline_px * scale;
    if width > 0.75 {
        let within = |radius: f32| {
            let angles = (0..8).map(|i| i as f32 * std::f32::consts::FRAC_PI_4);
            let mut around = angles.map(|a| at(px + radius * a.cos(), py + radius * a.sin()));
            around.any(|other| other != label)
        };
        return match (within(width * 0.6), within(width * 1.2)) {
            (true, _) => 1.0,
            (false, true) => 0.5,
            (false, false) => 0.0,
        };
    }
    let way = |inside: f32, step: i32| match step {
        1 => 1.0 - inside,
        -1 => inside,
        _ => 0.0,
    };
    let mut nearest = 1.0_f32;
    for (dx, dy) in (0..9).map(|i| (i % 3 - 1, i / 3 - 1)) {
        if at(px + dx as f32, py + dy as f32) != label {
            nearest = nearest.min(way(px.fract(), dx).hypot(way(py.fract(), dy)));
        }
    }
    (layer.outline_px + 0.5 - nearest / scale).clamp(0.0, 1.0)
}

#[test]
fn tint_outline_and_ring_equal_the_cpu_twin_at_every_zoom() {
    let gpu = Gpu::headless().unwrap();
    let labels = labels();
    let mut layer = mask_layer(Arc::new(MaskTexture::new(&gpu, &labels)));
    layer.brush = Some(([8.3, 7.1], 4.6));
    // Offsets that keep samples off texel borders, where rounding decides.
    let views = [
        view([3.03, 2.02], 0.05),
        view([-2.013, -1.027], 0.23),
        view([0.0, 0.0], 1.0),
        view([-3.17, -2.31], 1.37),
    ];
    for (i, view) in views.into_iter().enumerate() {
        layer.pixels_per_point = [1.0, 2.0, 1.5, 1.0][i];
        let (width, height) = (120, 90);
        let stack = [Layer::Mask(Box::new(layer.clone()))];
        let shown = gpu::draw(&gpu, view, &stack, width, height).unwrap();
        let (mut wrong, mut drawn) = (0, 0);
        for (x, y) in (0..width * height).map(|i| (i % width, i / width)) {
            let should = twin(&layer, &labels, view, x, y);
            let should = should.map(|c| (c * 255.0).round() as u8);
            drawn += usize::from(should != [0; 3]);
            wrong += usize::from(!close(pixel(&shown, x, y), should, 2));
        }
        assert!(drawn > 60, "{view:?}: {drawn} pixels drawn");
        assert!(wrong <= 2, "{view:?}: {wrong} pixels differ from the twin");
    }
}

#[test]
fn hidden_classes_and_the_background_leave_the_photo_as_it_is() {
    let gpu = Gpu::headless().unwrap();
    let (labels, photo) = (labels(), photo(20, 16));
    let mask = mask_layer(Arc::new(MaskTexture::new(&gpu, &labels)));
    let stack = [picture(&gpu, &photo), Layer::Mask(Box::new(mask))];
    let shown = gpu::draw(&gpu, view([0.0, 0.0], 1.0), &stack, 20, 16).unwrap();
    for (i, label) in labels.data.iter().enumerate() {
        let (x, y) = (i % 20, i / 20);
        let same = pixel(&shown, x, y) == pixel(&photo, x, y);
        assert_eq!(same, matches!(label, 0 | 3), "({x}, {y}) of class {label}");
    }
}

#[test]
fn only_the_dirty_rectangle_is_uploaded() {
    let gpu = Gpu::headless().unwrap();
    let mut labels = grid(300, 200, vec![0; 300 * 200]);
    let texture = Arc::new(MaskTexture::new(&gpu, &labels));
    assert_eq!(texture.uploaded_bytes(), 300 * 200);

    labels.data.fill(1);
    texture.update(&gpu, &labels, rect(31, 77, 45, 18));
    assert_eq!(texture.uploaded_bytes(), 300 * 200 + 45 * 18);

    let mut layer = mask_layer(texture);
    (layer.outline_px, layer.opacity) = (0.0, 1.0);
    let view = view([0.0, 0.0], 1.0);
    let shown = gpu::draw(&gpu, view, &[Layer::Mask(Box::new(layer))], 300, 200).unwrap();
    let should = rgb(300, 200, |x, y| {
        let inside = (31..76).contains(&x) && (77..95).contains(&y);
        if inside { [0, 0, 255] } else { [0; 3] }
    });
    assert_eq!(shown, should);
}

#[test]
fn a_rectangle_that_does_not_fit_uploads_nothing_outside() {
    let gpu = Gpu::headless().unwrap();
    let labels = grid(30, 20, vec![1; 600]);
    let texture = MaskTexture::new(&gpu, &labels);
    texture.update(&gpu, &labels, rect(25, 18, 50, 50));
    assert_eq!(texture.uploaded_bytes(), 600 + 5 * 2);
    texture.update(&gpu, &labels, rect(40, 0, 5, 5));
    let other = grid(40, 20, vec![1; 800]);
    texture.update(&gpu, &other, rect(0, 0, 5, 5));
    assert_eq!(texture.uploaded_bytes(), 600 + 5 * 2);
}
