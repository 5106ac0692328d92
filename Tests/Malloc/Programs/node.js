// SPDX-License-Identifier: Apache-2.0
// For node.bash: prints the same each time.
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const zlib = require('zlib');
const crypto = require('crypto');

function load(seed) {
  let state = seed;
  const next = () => (state = (state * 1103515245 + 12345) % 2147483648);
  const rows = new Map();
  for (let i = 0; i < 100000; i++) rows.set(`k${next() % 20000}`, { i, text: 'x'.repeat(next() % 50) });
  const text = JSON.stringify([...rows]);
  const buffers = [];
  for (let i = 0; i < 3000; i++) buffers[next() % 300] = Buffer.alloc(1 + (next() % 20000), i % 256);
  const packed = zlib.deflateSync(text);
  const again = zlib.inflateSync(packed).toString();
  const hash = crypto.createHash('sha256').update(again);
  for (const buffer of buffers) if (buffer) hash.update(buffer);
  return hash.digest('hex');
}

if (isMainThread) {
  const one = (seed) => new Promise((resolve, reject) => {
    const worker = new Worker(__filename, { workerData: seed });
    worker.on('message', resolve);
    worker.on('error', reject);
  });
  (async () => {
    console.log(load(1));
    for (let round = 0; round < 3; round++) {
      console.log((await Promise.all([2, 3, 4, 5].map((seed) => one(seed + round)))).join('\n'));
    }
  })();
} else {
  parentPort.postMessage(load(workerData));
}
