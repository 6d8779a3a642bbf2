// A second implementation of the keys that are derived from a signer, written from FORMAT.md alone, with
// nothing but Node's own modules. It compares every value of the vectors beside this file, and prints how
// many vectors passed. Node 18 or later.

import { createDecipheriv, createHash, hkdfSync } from 'node:crypto';
import { readFileSync } from 'node:fs';

const join = (...parts) => Buffer.concat(parts.map((p) => (typeof p === 'string' ? Buffer.from(p, 'utf8') : p)));
const len4 = (text) => { const b = join(text); const n = Buffer.alloc(4); n.writeUInt32BE(b.length); return join(n, b); };
const hkdf = (key, info, n) => Buffer.from(hkdfSync('sha256', key, '', info, n));
const number = (b) => BigInt('0x' + b.toString('hex'));
const bytes32 = (n) => Buffer.from(n.toString(16).padStart(64, '0'), 'hex');

// ---- Keccak-256 with the padding of Ethereum

const mask = (1n << 64n) - 1n;
const rotate = (x, n) => (n === 0n ? x : ((x << n) | (x >> (64n - n))) & mask);

function permute(a) {
  let lfsr = 1;
  for (let round = 0; round < 24; round++) {
    const c = [0, 1, 2, 3, 4].map((x) => a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20]);
    for (let i = 0; i < 25; i++) a[i] ^= c[(i + 4) % 5] ^ rotate(c[(i + 1) % 5], 1n);
    let [x, y] = [1, 0];
    let current = a[x + 5 * y];
    for (let t = 0; t < 24; t++) {
      [x, y] = [y, (2 * x + 3 * y) % 5];
      [current, a[x + 5 * y]] = [a[x + 5 * y], rotate(current, BigInt(((t + 1) * (t + 2)) / 2) % 64n)];
    }
    for (let row = 0; row < 25; row += 5) {
      const r = a.slice(row, row + 5);
      for (let i = 0; i < 5; i++) a[row + i] = r[i] ^ (~r[(i + 1) % 5] & mask & r[(i + 2) % 5]);
    }
    for (let j = 0n; j < 7n; j++) {
      if (lfsr & 1) a[0] ^= 1n << ((1n << j) - 1n);
      lfsr = (lfsr << 1) ^ ((lfsr >> 7) * 0x171);
    }
  }
}

function keccak(data) {
  const rate = 136;
  const padded = Buffer.alloc((Math.floor(data.length / rate) + 1) * rate);
  data.copy(padded);
  padded[data.length] = 1;
  padded[padded.length - 1] |= 0x80;
  const a = Array(25).fill(0n);
  for (let at = 0; at < padded.length; at += rate) {
    for (let i = 0; i < rate / 8; i++) a[i] ^= padded.readBigUInt64LE(at + 8 * i);
    permute(a);
  }
  const out = Buffer.alloc(32);
  for (let i = 0; i < 4; i++) out.writeBigUInt64LE(a[i], 8 * i);
  return out;
}

// ---- secp256k1

const P = 2n ** 256n - 2n ** 32n - 977n;
const N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const G = [0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798n, 0x483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8n];
const mod = (a, m) => ((a % m) + m) % m;

function power(a, e, m) {
  let r = 1n;
  for (a = mod(a, m); e > 0n; e >>= 1n, a = (a * a) % m) if (e & 1n) r = (r * a) % m;
  return r;
}

const inverse = (a, m) => power(a, m - 2n, m);

function add(a, b) {
  if (!a) return b;
  if (!b) return a;
  if (a[0] === b[0] && mod(a[1] + b[1], P) === 0n) return null;
  const l = a[0] === b[0] ? 3n * a[0] * a[0] * inverse(2n * a[1], P) : (b[1] - a[1]) * inverse(b[0] - a[0], P);
  const x = mod(l * l - a[0] - b[0], P);
  return [x, mod(l * (a[0] - x) - a[1], P)];
}

function multiply(k, p) {
  let r = null;
  for (; k > 0n; k >>= 1n, p = add(p, p)) if (k & 1n) r = add(r, p);
  return r;
}

const address = (q) => '0x' + keccak(join(bytes32(q[0]), bytes32(q[1]))).subarray(12).toString('hex');

// recover returns the address that signed, for a parity of the y coordinate.
function recover(hash, r, s, parity) {
  let y = power(power(r, 3n, P) + 7n, (P + 1n) / 4n, P);
  if ((y & 1n) !== BigInt(parity)) y = P - y;
  const w = inverse(r, N);
  return address(add(multiply(mod(-number(hash) * w, N), G), multiply(mod(s * w, N), [r, y])));
}

// ---- The vectors

function check(v) {
  const same = (what, got) => {
    const text = Buffer.isBuffer(got) ? got.toString('hex') : got;
    if (text !== v[what]) throw new Error(`${what} is ${text}`);
  };
  const ctx = createHash('sha256').update(join('ove1 ctx', len4(v.vault), len4(v.tenant), len4(v.collection), len4(v.name))).digest();
  same('ctx', ctx);
  const text = [
    'objectvault key v1',
    'Sign only inside objectvault. This signature is a secret key: whoever has it reads and forges this object.',
    `vault: ${v.vault}`, `tenant: ${v.tenant}`, `collection: ${v.collection}`, `name: ${v.name}`, `epoch: ${v.epoch}`,
    `context: ${ctx.toString('hex')}`,
  ].join('\n');
  same('text', text);
  const digest = keccak(join('\x19Ethereum Signed Message:\n', String(Buffer.byteLength(text)), text));
  same('digest', digest);
  same('address', address(multiply(number(Buffer.from(v.private_key, 'hex')), G)));
  const sig = Buffer.from(v.signature, 'hex');
  const [r, s] = [number(sig.subarray(0, 32)), number(sig.subarray(32, 64))];
  const stated = { 0: [0], 1: [1], 27: [0], 28: [1] }[sig[64]] ?? [0, 1];
  if (!stated.some((parity) => recover(digest, r, s, parity) === v.address)) throw new Error('the signature does not verify');
  const root = join(bytes32(r), bytes32(s > N / 2n ? N - s : s));
  same('root', root);
  const kek = hkdf(root, join('ove1 kek', ctx), 32);
  same('kek', kek);
  const id = hkdf(root, join('ove1 kek-id', ctx), 16);
  same('kek_id', id);
  const aad = join('ove1 wrap', Buffer.from(v.stable, 'hex'), Buffer.from([1]), id, ctx);
  same('wrap_aad', aad);
  const body = Buffer.from(v.body, 'hex');
  const d = createDecipheriv('aes-256-gcm', kek, body.subarray(0, 12), { authTagLength: 16 }).setAAD(aad).setAuthTag(body.subarray(44));
  same('dek', join(d.update(body.subarray(12, 44)), d.final()));
}

let passed = 0;
for (const v of JSON.parse(readFileSync(new URL('vectors.json', import.meta.url), 'utf8'))) {
  try {
    check(v);
    passed++;
  } catch (e) {
    console.error(`${v.id}: ${e.message}`);
    process.exitCode = 1;
  }
}
console.log(passed);
