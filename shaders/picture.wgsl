// A photo or a patch of one: zoom, pan, and a span of framebuffer columns for the before/after split.

// Photo pixels are shown as crisp squares from this magnification on; below it they are interpolated.
const CRISP_ZOOM: f32 = 6.0;

// Twin of `PictureUniform` in src/gpu/picture.rs.
struct Picture {
    // Where the picture lies in the photo: left, top, right, bottom.
    rect_in_image: vec4<f32>,
    size_texels: vec2<f32>,
    // Framebuffer columns that are drawn: from, up to.
    span_px: vec2<f32>,
};

@group(1) @binding(0) var<uniform> picture: Picture;
@group(1) @binding(1) var picture_texture: texture_2d<f32>;

@fragment
fn fs_picture(@builtin(position) position: vec4<f32>) -> @location(0) vec4<f32> {
    let rect = picture.rect_in_image;
    let p = image_from_framebuffer(position.xy);
    let outside = any(p < rect.xy) || any(p >= rect.zw);
    if outside || position.x < picture.span_px.x || position.x >= picture.span_px.y {
        return vec4<f32>(0.0);
    }
    let texels_from_image = picture.size_texels / (rect.zw - rect.xy);
    var texel = (p - rect.xy) * texels_from_image;
    let texels_per_px = view.image_from_px * texels_from_image.x;
    if texels_per_px * CRISP_ZOOM < 1.0 {
        // Moves the sample to the texel's centre but for one framebuffer pixel between two texels.
        let base = floor(texel - 0.5);
        let weight = clamp((texel - 0.5 - base - 0.5) / texels_per_px + 0.5, vec2<f32>(0.0), vec2<f32>(1.0));
        texel = base + 0.5 + weight;
    }
    let level = max(log2(texels_per_px), 0.0);
    let linear = textureSampleLevel(picture_texture, linear_sampler, texel / picture.size_texels, level);
    return framebuffer_color(vec4<f32>(gamma_from_linear(linear.rgb), 1.0));
}

// Fills a mip level from the one above it, in linear light: the target is an sRGB texture.
@fragment
fn fs_downsample(@builtin(position) position: vec4<f32>) -> @location(0) vec4<f32> {
    let size = max(textureDimensions(picture_texture) / 2u, vec2<u32>(1u));
    return textureSampleLevel(picture_texture, linear_sampler, position.xy / vec2<f32>(size), 0.0);
}
