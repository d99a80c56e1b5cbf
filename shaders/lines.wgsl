// Thick lines and dots: one quad for each segment, cut by its signed distance, so that ends are round and edges smooth
// at any zoom. A dot is a segment without length.

// Twin of `LinesUniform` in src/gpu/lines.rs.
struct Lines {
    // Of the border around each line, with alpha, in gamma space.
    border_color: vec4<f32>,
    // Width of that border in framebuffer pixels; 0 for none.
    border_px: f32,
    // Of everything, in [0, 1].
    opacity: f32,
    // Framebuffer pixels per point of the screen: widths and dashes in points are as large on every screen.
    pixels_per_point: f32,
};

@group(1) @binding(0) var<uniform> lines: Lines;

// Twin of `Segment` in src/gpu/lines.rs.
struct Segment {
    @location(0) start: vec2<f32>,
    @location(1) end: vec2<f32>,
    @location(2) start_color: vec4<f32>,
    @location(3) end_color: vec4<f32>,
    // Added up: points of the screen and photo pixels.
    @location(4) width_points: f32,
    @location(5) width_in_image: f32,
    // Length of a dash and its gap together; 0 for a solid line.
    @location(6) dash_points: f32,
    // How much of the line came before this segment, in photo pixels.
    @location(7) dash_start_in_image: f32,
    // 1 where the segment goes on from the end of another: it leaves out the disc that the other has drawn, so that
    // what can be seen through is not drawn twice.
    @location(8) joined: f32,
};

struct Varying {
    @builtin(position) position: vec4<f32>,
    // Along the segment from its start and across it, in framebuffer pixels.
    @location(0) local_px: vec2<f32>,
    @location(1) @interpolate(flat) length_px: f32,
    @location(2) @interpolate(flat) half_width_px: f32,
    // Period and start of the dashes.
    @location(3) @interpolate(flat) dash_px: vec2<f32>,
    @location(4) @interpolate(flat) start_color: vec4<f32>,
    @location(5) @interpolate(flat) end_color: vec4<f32>,
    @location(6) @interpolate(flat) joined: f32,
    // 0 for the border, which is drawn under all lines of the layer; 1 for the line.
    @location(7) @interpolate(flat) is_line: f32,
};

// Lines that would be thinner fade instead, so that they do not flicker.
const THINNEST_PX: f32 = 1.0;

@vertex
fn vs_lines(@builtin(vertex_index) index: u32, segment: Segment) -> Varying {
    let start = (segment.start - view.offset_in_image) / view.image_from_px;
    let end = (segment.end - view.offset_in_image) / view.image_from_px;
    let length_px = distance(start, end);
    // A dot has no direction of its own.
    let along = select(vec2<f32>(1.0, 0.0), (end - start) / max(length_px, 1e-6), length_px > 1e-6);
    let across = vec2<f32>(-along.y, along.x);
    let width_px = segment.width_points * lines.pixels_per_point + segment.width_in_image / view.image_from_px;
    let half_width_px = 0.5 * max(width_px, THINNEST_PX);
    let reach = half_width_px + lines.border_px + 1.0;

    // Two triangles: corners 0 1 2 and 1 2 3. The second six vertices are the same quad, for the line itself.
    let vertex = index % 6u;
    let corner = select(vertex, vertex - 2u, vertex > 2u);
    let is_end = f32(corner & 1u);
    let side = f32(corner >> 1u) * 2.0 - 1.0;
    let local = vec2<f32>(mix(-reach, length_px + reach, is_end), side * reach);
    let px = start + along * local.x + across * local.y;
    let clip = px / view.framebuffer_px * 2.0 - 1.0;

    let fade = clamp(width_px / THINNEST_PX, 0.0, 1.0);
    var out: Varying;
    out.position = vec4<f32>(clip.x, -clip.y, 0.0, 1.0);
    out.local_px = local;
    out.length_px = length_px;
    out.half_width_px = half_width_px;
    out.dash_px = vec2<f32>(segment.dash_points * lines.pixels_per_point, segment.dash_start_in_image / view.image_from_px);
    out.start_color = segment.start_color * vec4<f32>(1.0, 1.0, 1.0, fade);
    out.end_color = segment.end_color * vec4<f32>(1.0, 1.0, 1.0, fade);
    out.joined = segment.joined;
    out.is_line = f32(index / 6u);
    return out;
}

// Distance to the middle line of the segment, or to that of the nearest dash.
fn distance_px(in: Varying) -> f32 {
    let on_line = clamp(in.local_px.x, 0.0, in.length_px);
    let from_line = vec2<f32>(in.local_px.x - on_line, in.local_px.y);
    let period = in.dash_px.x;
    if period <= 0.0 {
        return length(from_line);
    }
    // Dashes are centred in their period and lose their round ends from it.
    let at = in.dash_px.y + on_line;
    let from_center = abs(at - (floor(at / period) + 0.5) * period);
    let half_dash = max(0.25 * period - in.half_width_px, 0.0);
    return length(vec2<f32>(abs(from_line.x) + max(from_center - half_dash, 0.0), from_line.y));
}

@fragment
fn fs_lines(in: Varying) -> @location(0) vec4<f32> {
    let from_edge = distance_px(in) - in.half_width_px;
    let t = select(0.0, clamp(in.local_px.x / max(in.length_px, 1e-6), 0.0, 1.0), in.length_px > 1e-6);
    let color = mix(in.start_color, in.end_color, t);
    let is_line = in.is_line > 0.5;
    let grown = select(lines.border_px, 0.0, is_line);
    var coverage = clamp(0.5 + grown - from_edge, 0.0, 1.0);
    if in.joined > 0.5 && in.dash_px.x <= 0.0 {
        coverage = min(coverage, clamp(0.5 + length(in.local_px) - in.half_width_px - grown, 0.0, 1.0));
    }
    let own = vec4<f32>(select(lines.border_color.rgb, color.rgb, is_line), 1.0);
    let alpha = color.a * select(lines.border_color.a, 1.0, is_line);
    return framebuffer_color(own * (alpha * coverage * lines.opacity));
}
