// Put before every other shader file. Group 0 is shared by all layers of a canvas, group 1 is the layer's own.
// egui blends in gamma space with premultiplied alpha, so every fragment ends with `framebuffer_color`.

// Twin of `View` in src/gpu/mod.rs.
struct View {
    // Photo coordinates of the framebuffer's top left corner.
    offset_in_image: vec2<f32>,
    // Photo pixels per framebuffer pixel.
    image_from_px: f32,
    // 1 where the framebuffer converts from linear light by itself.
    framebuffer_is_srgb: u32,
    // Width and height of the framebuffer.
    framebuffer_px: vec2<f32>,
};

@group(0) @binding(0) var<uniform> view: View;
@group(0) @binding(1) var linear_sampler: sampler;

// One triangle that covers the framebuffer; the scissor rectangle cuts it to the canvas.
@vertex
fn vs_cover(@builtin(vertex_index) index: u32) -> @builtin(position) vec4<f32> {
    let corner = vec2<f32>(f32(index & 1u), f32(index >> 1u));
    return vec4<f32>(corner * 4.0 - 1.0, 0.0, 1.0);
}

// Photo coordinates of a framebuffer position.
fn image_from_framebuffer(px: vec2<f32>) -> vec2<f32> {
    return view.offset_in_image + px * view.image_from_px;
}

// IEC 61966-2-1.
fn gamma_from_linear(linear: vec3<f32>) -> vec3<f32> {
    let low = linear * 12.92;
    let high = 1.055 * pow(max(linear, vec3<f32>(0.0)), vec3<f32>(1.0 / 2.4)) - 0.055;
    return select(high, low, linear <= vec3<f32>(0.0031308));
}

fn linear_from_gamma(gamma: vec3<f32>) -> vec3<f32> {
    let low = gamma / 12.92;
    let high = pow((gamma + 0.055) / 1.055, vec3<f32>(2.4));
    return select(high, low, gamma <= vec3<f32>(0.04045));
}

// What to write for a colour in gamma space, already multiplied by its alpha.
fn framebuffer_color(premultiplied: vec4<f32>) -> vec4<f32> {
    if view.framebuffer_is_srgb == 1u {
        return vec4<f32>(linear_from_gamma(premultiplied.rgb), premultiplied.a);
    }
    return premultiplied;
}

// `top` over `bottom`, both premultiplied.
fn over(top: vec4<f32>, bottom: vec4<f32>) -> vec4<f32> {
    return top + bottom * (1.0 - top.a);
}
