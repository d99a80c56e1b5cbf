// Kernel density estimation on a grid: samples are spread over 3 × 3 cells by atomic adds, then the grid is blurred with
// a Gaussian, first along rows, then along columns. Stands alone: nothing is drawn here.

// Twin of `DensityUniform` in src/gpu/density.rs.
struct Density {
    width: u32,
    height: u32,
    sample_count: u32,
    // Taps of the kernel on one side of the middle.
    radius: u32,
    // What a whole sample of weight 1 adds to the bins: atomics count whole numbers only.
    fixed_point: f32,
    // From blurred bins to density.
    scale: f32,
};

struct DensitySample {
    // In cells; centres are at +0.5.
    x: f32,
    y: f32,
    weight: f32,
};

@group(0) @binding(0) var<uniform> density: Density;
@group(0) @binding(1) var<storage, read> samples: array<DensitySample>;
@group(0) @binding(2) var<storage, read_write> bins: array<atomic<u32>>;
// The kernel from the middle outwards.
@group(0) @binding(3) var<storage, read> taps: array<f32>;
@group(0) @binding(4) var<storage, read_write> rows: array<f32>;

// Quadratic B-spline for an offset from a cell's centre, in cells. Unlike linear weights its second moment (1/4) is the
// same wherever in the cell the sample lies, so the kernel can be narrowed by exactly that much.
fn spline(offset: f32) -> f32 {
    let d = abs(offset);
    return select(0.5 * (1.5 - d) * (1.5 - d), 0.75 - d * d, d < 0.5) * select(0.0, 1.0, d < 1.5);
}

@compute @workgroup_size(256)
fn spread(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= density.sample_count {
        return;
    }
    let sample = samples[id.x];
    // Far outside the whole numbers would not hold it.
    let place = clamp(vec2<f32>(sample.x, sample.y), vec2<f32>(-9.0), vec2<f32>(f32(density.width), f32(density.height)) + 9.0);
    let middle = vec2<i32>(floor(place));
    for (var dy = -1; dy <= 1; dy++) {
        for (var dx = -1; dx <= 1; dx++) {
            let cell = middle + vec2<i32>(dx, dy);
            if all(cell >= vec2<i32>(0)) && cell.x < i32(density.width) && cell.y < i32(density.height) {
                let weight = spline(place.x - f32(cell.x) - 0.5) * spline(place.y - f32(cell.y) - 0.5);
                let amount = u32(weight * sample.weight * density.fixed_point + 0.5);
                atomicAdd(&bins[u32(cell.y) * density.width + u32(cell.x)], amount);
            }
        }
    }
}

@compute @workgroup_size(16, 16)
fn blur_rows(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= density.width || id.y >= density.height {
        return;
    }
    let row = id.y * density.width;
    var sum = f32(atomicLoad(&bins[row + id.x])) * taps[0];
    for (var d = 1u; d <= density.radius; d++) {
        if id.x >= d {
            sum += f32(atomicLoad(&bins[row + id.x - d])) * taps[d];
        }
        if id.x + d < density.width {
            sum += f32(atomicLoad(&bins[row + id.x + d])) * taps[d];
        }
    }
    rows[row + id.x] = sum;
}

// Writes over the bins, which are not needed any more, as bits of floats.
@compute @workgroup_size(16, 16)
fn blur_columns(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= density.width || id.y >= density.height {
        return;
    }
    let at = id.y * density.width + id.x;
    var sum = rows[at] * taps[0];
    for (var d = 1u; d <= density.radius; d++) {
        if id.y >= d {
            sum += rows[at - d * density.width] * taps[d];
        }
        if id.y + d < density.height {
            sum += rows[at + d * density.width] * taps[d];
        }
    }
    atomicStore(&bins[at], bitcast<u32>(sum * density.scale));
}
