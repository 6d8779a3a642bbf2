// Computes the vectors of type 3 from their inputs with Node's crypto module, and compares them.
// usage: node check.mjs vectors.json
import { readFileSync } from 'node:fs';
import { createCipheriv, createHash, hkdfSync } from 'node:crypto';

const hex = (s) => Buffer.from(s, 'hex');
const sum = (...parts) => createHash('sha256').update(Buffer.concat(parts)).digest();
const u16 = (n) => { const b = Buffer.alloc(2); b.writeUInt16BE(n); return b; };
const len4 = (s) => { const t = Buffer.from(s), b = Buffer.alloc(4); b.writeUInt32BE(t.length); return Buffer.concat([b, t]); };

let failed = 0;
const vectors = JSON.parse(readFileSync(process.argv[2], 'utf8'));
for (const v of vectors) {
  const context = (name) => sum(Buffer.from('ove1 ctx'), len4(v.vault), len4(v.tenant), len4(v.collection), len4(name));
  const ctx = context(v.name);
  const kekID = sum(Buffer.from('ove1 kms'), len4(v.sealed_key_id ?? v.key_id), ctx).subarray(0, 16);
  const first = hex('4f56453101000c01'), rest = hex('00064441f8eb58000000');
  const aad = Buffer.concat([Buffer.from('ove1 wrap'), first.subarray(0, 7), rest.subarray(0, 8), Buffer.from([3]), kekID, context(v.sealed_name ?? v.name)]);
  const hash = sum(aad);
  const cipher = createCipheriv('aes-256-gcm', hex(v.service_key), hex(v.service_nonce));
  const sealed = cipher.update(v.plaintext ? hex(v.plaintext) : Buffer.concat([hash, hex(v.dek)]));
  cipher.final();
  const blob = Buffer.concat([hex(v.service_nonce), sealed, cipher.getAuthTag()]);
  const header = Buffer.concat([first, u16(20 + 19 + blob.length + 2 + 32), rest, Buffer.from([3]), kekID, u16(blob.length), blob, u16(0)]);
  const commitment = Buffer.from(hkdfSync('sha256', hex(v.dek), '', Buffer.concat([Buffer.from('ove1 commit'), sum(header), ctx]), 32));
  const got = {
    ctx, kek_id: kekID, wrap_aad: aad, hash, blob, header_hash: sum(header), commitment,
    object: Buffer.concat([header, commitment, hex(v.payload)]),
  };
  for (const [name, value] of Object.entries(got)) {
    if (value.toString('hex') !== v[name]) {
      console.error(`${v.id}: ${name} is ${value.toString('hex')}, want ${v[name]}`);
      failed++;
    }
  }
}
console.log(`${vectors.length} vectors, ${failed} differences`);
process.exit(failed ? 1 : 0);
