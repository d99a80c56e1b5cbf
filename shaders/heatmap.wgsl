// A grid of numbers over a photo: a colour for each value, and lines of equal value.
// Values are interpolated here, since textures of 32-bit floats cannot be filtered everywhere.

// Twin of `HeatmapUniform` in src/gpu/heatmap.rs.
struct Heatmap {
    // Columns of the projective map from the photo to cells of the grid, whose centres are at +0.5.
    grid_from_image: mat3x3<f32>,
    // Colours of evenly spaced values, in gamma space.
    stops: array<vec4<f32>, 10>,
    // Values of the contours.
    levels: array<vec4<f32>, 2>,
    // Values with the first and the last colour.
    range: vec2<f32>,
    opacity: f32,
    // Share of the range over which the colour appears from nothing; 0 where it always shows.
    fade_in: f32,
    contour_px: f32,
    contour_count: u32,
};

@group(1) @binding(0) var<uniform> heatmap: Heatmap;
@group(1) @binding(1) var values: texture_2d<f32>;

fn value_of(cell: vec2<i32>) -> f32 {
    let last = vec2<i32>(textureDimensions(values)) - 1;
    return textureLoad(values, clamp(cell, vec2<i32>(0), last), 0).r;
}

// Bilinear between the centres of the cells.
fn value_at(p: vec2<f32>) -> f32 {
    let base = floor(p - 0.5);
    let way = p - 0.5 - base;
    let cell = vec2<i32>(base);
    let top = mix(value_of(cell), value_of(cell + vec2<i32>(1, 0)), way.x);
    let bottom = mix(value_of(cell + vec2<i32>(0, 1)), value_of(cell + vec2<i32>(1, 1)), way.x);
    return mix(top, bottom, way.y);
}

fn color_of(share: f32) -> vec3<f32> {
    let at = clamp(share, 0.0, 1.0) * 9.0;
    let index = min(u32(at), 8u);
    return mix(heatmap.stops[index].rgb, heatmap.stops[index + 1u].rgb, at - f32(index));
}

@fragment
fn fs_heatmap(@builtin(position) position: vec4<f32>) -> @location(0) vec4<f32> {
    let projected = heatmap.grid_from_image * vec3<f32>(image_from_framebuffer(position.xy), 1.0);
    let p = projected.xy / select(1e-9, projected.z, abs(projected.z) > 1e-9);
    let value = value_at(p);
    // Before any branch: a derivative needs all four pixels of a block.
    let slope = max(fwidth(value), 1e-30);
    if projected.z <= 0.0 || any(p < vec2<f32>(0.0)) || any(p >= vec2<f32>(textureDimensions(values))) {
        return vec4<f32>(0.0);
    }
    let share = (value - heatmap.range.x) / (heatmap.range.y - heatmap.range.x);
    let shown = select(1.0, smoothstep(0.0, 1.0, share / max(heatmap.fade_in, 1e-6)), heatmap.fade_in > 0.0);
    var color = vec4<f32>(color_of(share), 1.0) * (shown * heatmap.opacity);
    for (var i = 0u; i < heatmap.contour_count; i++) {
        let level = heatmap.levels[i / 4u][i % 4u];
        let from_line_px = abs(value - level) / slope;
        let coverage = clamp(0.5 * heatmap.contour_px + 0.5 - from_line_px, 0.0, 1.0);
        let share_of_level = (level - heatmap.range.x) / (heatmap.range.y - heatmap.range.x);
        let line = mix(color_of(share_of_level), vec3<f32>(1.0), 0.55);
        color = over(vec4<f32>(line, 1.0) * (0.9 * coverage), color);
    }
    return framebuffer_color(color);
}
