// A label map over a photo: a tint and an outline per class, and the ring that shows the brush.
// The outline is computed from the labels for each framebuffer pixel, so it is crisp at any zoom.

// Twin of `MaskUniform` in src/gpu/mask.rs.
struct Mask {
    size_in_image: vec2<f32>,
    // Texels of the label texture per photo pixel; below 1 where the photo is larger than a texture can be.
    texels_from_image: f32,
    opacity: f32,
    outline_px: f32,
    // Its outline is drawn brighter.
    active_class: u32,
    brush_in_image: vec2<f32>,
    // In photo pixels; no ring where it is 0.
    brush_radius: f32,
    // Framebuffer pixels per point of the screen: the ring's lines are as wide on every screen.
    pixels_per_point: f32,
    // By class: gamma-space colour and whether the class is shown.
    colors: array<vec4<f32>, 32>,
};

@group(1) @binding(0) var<uniform> mask: Mask;
@group(1) @binding(1) var labels: texture_2d<u32>;

// The label at a position in texels; positions outside take the nearest label inside.
fn label_at(texel: vec2<f32>) -> u32 {
    let last = vec2<i32>(textureDimensions(labels)) - 1;
    return textureLoad(labels, clamp(vec2<i32>(floor(texel)), vec2<i32>(0), last), 0).r & 31u;
}

// Premultiplied tint of a label.
fn tint_of(label: u32) -> vec4<f32> {
    let color = mask.colors[label];
    return vec4<f32>(color.rgb, 1.0) * (color.a * mask.opacity);
}

fn differs(texel: vec2<f32>, label: u32) -> bool {
    return label_at(texel) != label;
}

// How far inside its region the position lies, in texels, counting at most one texel. Exact: the distance to the
// nearest neighbour texel of another class, corners included.
fn distance_to_border(texel: vec2<f32>, label: u32) -> f32 {
    let inside = fract(texel);
    var nearest = 1.0;
    for (var dy = -1; dy <= 1; dy++) {
        for (var dx = -1; dx <= 1; dx++) {
            let step = vec2<f32>(f32(dx), f32(dy));
            if differs(texel + step, label) {
                // Zero along an axis that is not stepped, else the way to that side of the texel.
                let way = select(select(inside, 1.0 - inside, step > vec2<f32>(0.0)), vec2<f32>(0.0), step == vec2<f32>(0.0));
                nearest = min(nearest, length(way));
            }
        }
    }
    return nearest;
}

// Whether another class lies `radius` texels away in one of eight directions.
fn border_within(texel: vec2<f32>, label: u32, radius: f32) -> bool {
    let d = radius * 0.70710678;
    return differs(texel + vec2<f32>(radius, 0.0), label) || differs(texel - vec2<f32>(radius, 0.0), label)
        || differs(texel + vec2<f32>(0.0, radius), label) || differs(texel - vec2<f32>(0.0, radius), label)
        || differs(texel + vec2<f32>(d, d), label) || differs(texel - vec2<f32>(d, d), label)
        || differs(texel + vec2<f32>(d, -d), label) || differs(texel - vec2<f32>(d, -d), label);
}

// Coverage of the outline on the inner side of a region's border.
fn outline_at(texel: vec2<f32>, label: u32, texels_per_px: f32) -> f32 {
    let width = mask.outline_px * texels_per_px;
    if width <= 0.75 {
        return clamp(mask.outline_px + 0.5 - distance_to_border(texel, label) / texels_per_px, 0.0, 1.0);
    }
    if border_within(texel, label, width * 0.6) {
        return 1.0;
    }
    return select(0.0, 0.5, border_within(texel, label, width * 1.2));
}

// Premultiplied ring: a light line on the brush's edge and a dark one around it, so that it shows on anything.
fn ring_at(p: vec2<f32>) -> vec4<f32> {
    if mask.brush_radius <= 0.0 {
        return vec4<f32>(0.0);
    }
    let from_edge_px = (distance(p, mask.brush_in_image) - mask.brush_radius) / view.image_from_px;
    let width_px = mask.pixels_per_point;
    let light = clamp(0.75 * width_px + 0.5 - abs(from_edge_px), 0.0, 1.0);
    let dark = clamp(0.5 * width_px + 0.5 - abs(from_edge_px - 1.5 * width_px), 0.0, 1.0) * 0.6;
    return over(vec4<f32>(light), vec4<f32>(0.0, 0.0, 0.0, dark));
}

@fragment
fn fs_mask(@builtin(position) position: vec4<f32>) -> @location(0) vec4<f32> {
    let p = image_from_framebuffer(position.xy);
    let ring = ring_at(p);
    if any(p < vec2<f32>(0.0)) || any(p >= mask.size_in_image) {
        return framebuffer_color(ring);
    }
    let texel = p * mask.texels_from_image;
    let texels_per_px = view.image_from_px * mask.texels_from_image;
    let label = label_at(texel);

    var color = tint_of(label);
    if texels_per_px > 1.0 {
        let d = texels_per_px * 0.25;
        color = 0.25 * (tint_of(label_at(texel + vec2<f32>(d, d))) + tint_of(label_at(texel + vec2<f32>(-d, d)))
            + tint_of(label_at(texel + vec2<f32>(d, -d))) + tint_of(label_at(texel + vec2<f32>(-d, -d))));
    }
    let class_color = mask.colors[label];
    if class_color.a > 0.0 && mask.outline_px > 0.0 {
        let bright = mix(class_color.rgb, vec3<f32>(1.0), select(0.0, 0.6, label == mask.active_class));
        color = over(vec4<f32>(bright, 1.0) * outline_at(texel, label, texels_per_px), color);
    }
    return framebuffer_color(over(ring, color));
}
