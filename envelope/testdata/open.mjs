// A second reader of the envelope format: written from FORMAT.md alone, with nothing but Node's own modules, and without a
// line of the Go code. That it opens and refuses the same vectors shows that the page is enough to write a reader from.
//
// Test it against the vectors, all of them (the folder beside this file) or some:
//
//   node open.mjs [vector.json ...]
//
// Open an object without objectvault. FILE is the object as it came out of the bucket, ROOTKEYFILE the 65 bytes of the root
// key file. The reference is not in the object: it has to be given as it was when the object was written, or last re-wrapped.
//
//   node open.mjs --open FILE --root ROOTKEYFILE [--vault ID] [--tenant T] [--collection C] --name NAME > plaintext
//
// The vault id is empty unless given, the tenant `default`, the collection `credentials`. The plaintext is written when all of
// it, and its end, was verified: nothing is written otherwise. Exit code 0: it opened. 1: it did not, and the first word
// on standard error is ErrFormat, ErrUnknownKey, ErrDecrypt, or Error for all else. The object is read into memory, as a
// whole, so it can have at most 2 GiB. Node 18 or later.
//
// "Section" is a section of FORMAT.md.

import { createCipheriv, createDecipheriv, createHash, hkdfSync, timingSafeEqual } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { basename, join as joinPath } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual, parseArgs } from 'node:util';

// ---- Section 1: notation and errors

const join = (...parts) => Buffer.concat(parts.map((p) => (typeof p === 'string' ? Buffer.from(p, 'utf8') : p)));
const u16 = (n) => { const b = Buffer.alloc(2); b.writeUInt16BE(n); return b; };
const u32 = (n) => { const b = Buffer.alloc(4); b.writeUInt32BE(n); return b; };
const u64 = (n) => { const b = Buffer.alloc(8); b.writeBigUInt64BE(BigInt(n)); return b; };
const len4 = (text) => { const b = join(text); return join(u32(b.length), b); };
const sha256 = (...parts) => createHash('sha256').update(join(...parts)).digest();
const hkdf = (key, salt, info, n) => Buffer.from(hkdfSync('sha256', key, salt, info, n));

function gcmSeal(key, nonce, text, aad = '') {
  const c = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 }).setAAD(join(aad));
  return join(c.update(text), c.final(), c.getAuthTag());
}

// gcmOpen returns nothing of what did not verify. What update gives is worth nothing before final did not throw.
function gcmOpen(what, key, nonce, sealed, aad = '') {
  if (sealed.length < 16) throw new Refused('ErrDecrypt', `${what} is shorter than its tag`);
  const d = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 }).setAAD(join(aad));
  d.setAuthTag(sealed.subarray(sealed.length - 16));
  const text = d.update(sealed.subarray(0, sealed.length - 16));
  try {
    return join(text, d.final());
  } catch {
    throw new Refused('ErrDecrypt', `${what} does not verify`);
  }
}

class Refused extends Error {
  constructor(name, message, newer = false) {
    super(message);
    this.name = name;
    this.newer = newer; // the object is not damaged, this reader is too old for it
  }
}

// ---- Sections 2 and 8: the header, checked before any key is used

function parseHeader(object) {
  const refuse = (message, newer) => { throw new Refused('ErrFormat', message, newer); };
  const need = (n) => { if (object.length < n) refuse('the object ends inside the header'); };

  // One byte after the other: a newer format may be shorter than this header.
  need(4);
  if (object.toString('latin1', 0, 4) !== 'OVE1') refuse('not an envelope: another magic');
  need(5);
  if (object[4] !== 1) refuse(`suite ${object[4]}: this object needs a newer vault`, true);
  need(6);
  if (object[5] !== 0) refuse(`flags ${object[5]}: this object needs a newer vault`, true);
  need(20);
  const k = object[6], n = object[7], H = object.readUInt16BE(8), revision = object.readBigUInt64BE(10);
  if (k < 12 || k > 20) refuse(`k is ${k}`);
  if (n < 1 || n > 16) refuse(`${n} stanzas`);
  if (H > 32768) refuse(`a header of ${H} bytes`);
  if (revision < 1n || revision > 2n ** 53n - 1n) refuse(`revision ${revision}`);
  need(H);

  // H has no lower bound of its own: take and the sum at the end refuse what is too small.
  let at = 20;
  const take = (length) => {
    if (at + length > H - 32) refuse('the parts of the header are longer than H says');
    at += length;
    return object.subarray(at - length, at);
  };
  const stanzas = [], seen = new Set();
  for (let i = 0; i < n; i++) {
    const type = take(1)[0], kekID = take(16), body = take(take(2).readUInt16BE());
    if (!stanzaLengthAllowed(type, body.length)) refuse(`a stanza of type ${type} with ${body.length} bytes`);
    const id = type === 2 ? 'passphrase' : `${type} ${kekID.toString('hex')}`; // of type 2 there is one, whatever its kekID
    if (seen.has(id)) refuse(`two stanzas ${id}`);
    seen.add(id);
    stanzas.push({ type, kekID, body });
  }
  const sealedMetadata = take(take(2).readUInt16BE());
  if (sealedMetadata.length !== 0 && (sealedMetadata.length < 29 || sealedMetadata.length > 4124)) {
    refuse(`sealed metadata of ${sealedMetadata.length} bytes`);
  }
  if (at + 32 !== H) refuse('the parts of the header are shorter than H says');
  const header = object.subarray(0, H);
  return {
    H, S: 2 ** k, stanzas, sealedMetadata,
    stable: join(header.subarray(0, 7), header.subarray(10, 18)),
    hash: sha256(header.subarray(0, H - 32)),
    commitment: header.subarray(H - 32),
  };
}

// ---- Section 3: references and object keys

// checkReference returns what is wrong with a reference, or nothing. Opening does not need it, because a reference that
// is none has no object; but who typed one wants to be told more than ErrUnknownKey.
function checkReference({ vault, tenant, collection, name }) {
  if (!/^([a-z0-9][a-z0-9._-]{0,63})?$/.test(vault)) return 'no vault id';
  if (!/^[a-z0-9][a-z0-9._-]{0,127}$/.test(tenant)) return 'no tenant';
  if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(collection)) return 'no collection';
  if (name === '' || Buffer.byteLength(name) > 512) return 'a name has 1 to 512 bytes';
  if (name.split('/').some((s) => s === '' || s === '.' || s === '..')) return 'a name has no segment that is empty, . or ..';
  if (/[\p{Cc}\p{Cs}\u2028\u2029\u200E\u200F\u202A-\u202E\u2066-\u2069\p{Noncharacter_Code_Point}]/u.test(name)) {
    return 'a character that no name may have';
  }
  if (name.normalize('NFC') !== name) return 'the name is not in normalization form C';
  const key = objectKey({ tenant, collection, name });
  if (key.length > 850 || key.split('/').some((part) => part.length > 255)) return 'the object key is too long';
}

const fold = (text) => text.replace(/[A-Z]/g, (c) => c.toLowerCase()); // these 26 letters and no others

function objectKey({ tenant, collection, name }) {
  const encode = (segment, i, all) => {
    let key = '', before = '';
    for (const byte of Buffer.from(segment)) {
      const c = String.fromCharCode(byte);
      const itself = /[A-Za-z0-9_.~@=-]/.test(c) && !(c === '_' && before === '_');
      key += itself ? c : '%' + byte.toString(16).toUpperCase().padStart(2, '0');
      before = c;
    }
    const directory = i < all.length - 1;
    return directory && key.endsWith('.enc') ? key.slice(0, -4) + '%2Eenc' : key;
  };
  return `bots/${tenant}/${collection}/${name.split('/').map(encode).join('/')}.enc`;
}

// ---- Section 4: derivations

const ctxOf = ({ vault, tenant, collection, name }) =>
  sha256('ove1 ctx', len4(vault), len4(tenant), len4(collection), len4(name));
const wrapAAD = (stable, type, kekID, ctx) => join('ove1 wrap', stable, Buffer.of(type), kekID, ctx);
const commitmentOf = (dek, headerHash, ctx) => hkdf(dek, '', join('ove1 commit', headerHash, ctx), 32);
const metaKeyOf = (dek) => hkdf(dek, '', 'ove1 meta', 32);
const payloadKeyOf = (dek) => hkdf(dek, '', 'ove1 payload', 32);
const segmentKeyOf = (payloadKey, salt, stable) => hkdf(payloadKey, salt, stable, 32);

// ---- Section 5: stanzas

function stanzaLengthAllowed(type, length) {
  if (type === 0) return false;
  if (type === 1) return length === 60;
  if (type === 2) return length === 82;
  return length >= 1 && length <= 8192;
}

const kekOf = (root, ctx) => hkdf(root, '', join('ove1 kek', ctx), 32);
const kekIDOf = (root, ctx) => hkdf(root, '', join('ove1 kek-id', ctx), 16);
const fingerprint = (root) => hkdf(root, '', 'objectvault root fingerprint', 8).toString('hex');

function readRootKeyFile(file) {
  const text = readFileSync(file, 'latin1');
  if (!/^[0-9a-f]{64}\n$/.test(text)) throw new Error('a root key file has 64 lower-case hex characters and one newline');
  return Buffer.from(text.slice(0, 64), 'hex');
}

// ---- Section 6: metadata

const badMetadata = (message) => { throw new Refused('ErrDecrypt', `metadata: ${message}`); };

// strictJSON leaves the grammar to JSON.parse, which takes RFC 8259 and nothing else, and then looks at every string for
// what JSON.parse does not mind: names that are there twice, and halves of surrogate pairs. It does not recurse: 4096
// bytes can be nested 4000 deep, and the format has no limit to that.
function strictJSON(bytes) {
  let text, value;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes); // ignore means: keep it, as a character
  } catch {
    badMetadata('not UTF-8');
  }
  if (text[0] !== '{') badMetadata('does not start with {');
  try {
    value = JSON.parse(text);
  } catch {
    badMetadata('not JSON');
  }
  if (!/\} *$/.test(text)) badMetadata('something other than spaces follows'); // JSON.parse lets tabs and line ends pass
  const names = []; // for each open object the names that it had so far, for an open array nothing
  for (const [token, string, colon] of text.matchAll(/("(?:[^"\\]|\\.)*")([ \t\r\n]*:)?|[{}[\]]/g)) {
    if (token === '{' || token === '[') names.push(new Set());
    else if (token === '}' || token === ']') names.pop();
    else {
      const unescaped = JSON.parse(string);
      if (/\p{Cs}/u.test(unescaped)) badMetadata('half a surrogate pair'); // with /u, a whole pair is one character
      if (colon && names.at(-1).has(unescaped)) badMetadata('a name twice');
      if (colon) names.at(-1).add(unescaped);
    }
  }
  return value;
}

function parseMetadata(bytes) {
  if (bytes.length < 1 || bytes.length > 4096) badMetadata(`${bytes.length} bytes`);
  const value = strictJSON(bytes), { content_type, expires, labels } = value, metadata = {};
  for (const name of Object.keys(value)) {
    if (fold(name) !== name && ['content_type', 'expires', 'labels'].includes(fold(name))) badMetadata(name);
  }
  if (content_type !== undefined) {
    if (typeof content_type !== 'string' || Buffer.byteLength(content_type) > 255) badMetadata('content_type');
    if (content_type !== '') metadata.content_type = content_type;
  }
  if (expires !== undefined) {
    if (typeof expires !== 'string' || !isTime(expires)) badMetadata('expires');
    metadata.expires = expires;
  }
  if (labels !== undefined) {
    if (labels === null || typeof labels !== 'object' || Array.isArray(labels)) badMetadata('labels');
    const values = Object.values(labels);
    if (values.length > 64 || values.some((v) => typeof v !== 'string')) badMetadata('labels');
    if (values.length > 0) metadata.labels = labels;
  }
  return metadata;
}

// isTime does without Date, which takes year 0 for 1900 and February 30 for March.
function isTime(text) {
  const match = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)Z$/.exec(text);
  if (!match) return false;
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number);
  const leap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
  const days = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1] ?? 0;
  return day >= 1 && day <= days && hour <= 23 && minute <= 59 && second <= 59;
}

// ---- Section 7: the payload

const nonceOf = (prefix, i, last) => join(prefix, u32(i), Buffer.of(last));

// openPayload returns the parts of the plaintext, or throws: then none of them is given out.
function openPayload(payload, payloadKey, stable, S) {
  const L = payload.length;
  if (L < 40 || payload[0] !== 0x28) throw new Refused('ErrDecrypt', "Tink's header is missing or another");
  if (L < 56 || (L % S !== 0 && L % S < 16)) throw new Refused('ErrDecrypt', `a payload cannot have ${L} bytes`);
  const salt = payload.subarray(1, 33), prefix = payload.subarray(33, 40), key = segmentKeyOf(payloadKey, salt, stable);
  const m = Math.ceil(L / S), parts = [];
  for (let i = 0; i < m; i++) {
    const segment = payload.subarray(i === 0 ? 40 : i * S, Math.min((i + 1) * S, L));
    parts.push(gcmOpen(`segment ${i} of ${m}`, key, nonceOf(prefix, i, i === m - 1 ? 1 : 0), segment));
  }
  return parts;
}

// ---- Section 9: reading

// open returns the plaintext in parts, and the metadata, null if there is none. It returns only when the end was verified.
function open(object, reference, roots) {
  const header = parseHeader(object); // 1
  const ctx = ctxOf(reference); // 2
  const keys = new Map(roots.map((root) => [kekIDOf(root, ctx).toString('hex'), kekOf(root, ctx)]));
  const stanza = header.stanzas.find((s) => s.type === 1 && keys.has(s.kekID.toString('hex')));
  if (!stanza) throw new Refused('ErrUnknownKey', 'no stanza is for this root and this reference');
  const kek = keys.get(stanza.kekID.toString('hex')); // 3
  const aad = wrapAAD(header.stable, stanza.type, stanza.kekID, ctx);
  const dek = gcmOpen('the stanza', kek, stanza.body.subarray(0, 12), stanza.body.subarray(12), aad);
  if (!timingSafeEqual(commitmentOf(dek, header.hash, ctx), header.commitment)) { // 4
    throw new Refused('ErrDecrypt', 'the commitment is of another key, header or reference');
  }
  const sealed = header.sealedMetadata; // 5
  const metadata = sealed.length === 0 ? null
    : parseMetadata(gcmOpen('the metadata', metaKeyOf(dek), sealed.subarray(0, 12), sealed.subarray(12), header.stable));
  return { metadata, parts: openPayload(object.subarray(header.H), payloadKeyOf(dek), header.stable, header.S) }; // 6, 7
}

// ---- Sections 10 and 13: making the object of a vector, wrong ones included

const hex = (text) => {
  if (!/^([0-9a-f]{2})*$/.test(text)) throw new Error('not lower-case hex'); // Buffer.from would cut it off silently
  return Buffer.from(text, 'hex');
};

function bytesOf(value) {
  if (typeof value === 'string') return hex(value);
  if ('text' in value) return Buffer.from(value.text);
  return value.size === 0 ? Buffer.alloc(0) : Buffer.alloc(value.size, hex(value.repeat));
}

function make(inputs) {
  const drawFrom = (list) => (what) => {
    const next = list.shift();
    if (next?.for !== what) throw new Error(`random has a ${next?.for} where a ${what} is drawn`);
    return hex(next.bytes);
  };
  const random = [...inputs.random], rewrapRandom = [...(inputs.rewrap_random ?? [])], draw = drawFrom(random);
  const ctx = ctxOf(inputs), { stanzas } = inputs, derived = { ctx, stanzas: [] };

  // What a re-wrap leaves as it is. The wrap nonces of an object that was re-wrapped are drawn, and gone.
  const start = join(inputs.magic ?? 'OVE1', Buffer.of(inputs.suite ?? 1, inputs.flags ?? 0, inputs.k));
  const revision = u64(inputs.revision), stable = derived.stable = join(start, revision);
  const dek = draw('dek');
  if (inputs.rewrap > 0) inputs.written_for.forEach(() => draw('wrap nonce'));
  const drawNonce = inputs.rewrap > 0 ? drawFrom(rewrapRandom) : draw;

  const blocks = stanzas.map((s) => {
    let kekID, body;
    if (s.root === undefined) {
      [kekID, body] = [hex(s.kek_id), bytesOf(s.body)];
      derived.stanzas.push({ kek_id: kekID, body });
    } else {
      kekID = kekIDOf(hex(s.root), ctx);
      const kek = kekOf(hex(s.wrap_root ?? s.root), ctx), wrap_aad = wrapAAD(stable, s.type, kekID, ctx);
      const nonce = drawNonce('wrap nonce');
      body = join(nonce, gcmSeal(kek, nonce, s.dek === undefined ? dek : hex(s.dek), wrap_aad));
      derived.stanzas.push({ kek, kek_id: kekID, wrap_aad, body });
    }
    return join(Buffer.of(s.type), kekID, u16(body.length), body);
  });

  let sealed = Buffer.alloc(0);
  if (inputs.metadata !== undefined) {
    const nonce = draw('metadata nonce');
    derived.meta_key = metaKeyOf(dek);
    sealed = derived.sealed_metadata = join(nonce, gcmSeal(derived.meta_key, nonce, bytesOf(inputs.metadata), stable));
  }
  if (inputs.sealed_metadata !== undefined) sealed = bytesOf(inputs.sealed_metadata);

  const stanzaBytes = join(...blocks);
  derived.header_len = 20 + stanzaBytes.length + 2 + sealed.length + 32;
  const header = join(start, Buffer.of(inputs.n ?? stanzas.length), u16(inputs.h ?? derived.header_len), revision,
    u16(inputs.rewrap), stanzaBytes, u16(sealed.length), sealed);
  derived.header_hash = sha256(header);
  derived.commitment = commitmentOf(dek, derived.header_hash, ctx);

  const salt = draw('payload salt'), prefix = draw('payload prefix'), S = 2 ** inputs.k, plaintext = bytesOf(inputs.plaintext);
  if (random.length + rewrapRandom.length > 0) throw new Error('more was drawn than the object needs');
  derived.payload_key = payloadKeyOf(dek);
  derived.segment_key = segmentKeyOf(derived.payload_key, salt, stable);
  const parts = [plaintext.subarray(0, S - 56)];
  for (let at = S - 56; at < plaintext.length; at += S - 16) parts.push(plaintext.subarray(at, at + S - 16));
  if (inputs.empty_final_segment) parts.push(Buffer.alloc(0));
  const nonces = parts.map((_, i) => nonceOf(prefix, i, i < parts.length - 1 ? 0 : inputs.last_flag ?? 1));
  const segments = parts.map((part, i) => gcmSeal(derived.segment_key, nonces[i], part));
  const written = inputs.segments ?? [...segments.keys()];
  const payload = join(Buffer.of(0x28), salt, prefix, ...written.map((i) => segments[i]));
  derived.payload_len = payload.length;
  derived.segments = written.length;
  derived.first_nonce = nonces[0];
  derived.last_nonce = nonces.at(-1);

  let object = join(header, derived.commitment, payload);
  for (const { at, remove = 0, insert = '' } of inputs.edits ?? []) {
    if (at + remove > object.length) throw new Error('an edit after the end');
    object = join(object.subarray(0, at), hex(insert), object.subarray(at + remove));
  }
  return { object, derived };
}

// ---- Section 13: the vectors

// inHex writes bytes as the vectors have them, at any depth.
function inHex(x) {
  if (Buffer.isBuffer(x)) return x.toString('hex');
  if (Array.isArray(x)) return x.map(inHex);
  return typeof x === 'object' ? Object.fromEntries(Object.entries(x).map(([name, y]) => [name, inHex(y)])) : x;
}

// A member that this file does not know could say something that it does not look at: better to fail.
const MEMBERS = `format id about reader error object_key metadata object object_len object_sha256 inputs derived second
  vault tenant collection name roots magic suite flags n h k revision rewrap stanzas sealed_metadata plaintext
  empty_final_segment last_flag segments edits random written_for rewrap_random`.split(/\s+/);

// problems returns all that is wrong with what a vector says, as far as this reader is concerned.
function problems(file) {
  const v = JSON.parse(readFileSync(file, 'utf8')), found = [];
  const check = (ok, problem) => { if (!ok) found.push(problem); };
  for (const name of Object.keys({ ...v, ...v.reader, ...v.inputs })) check(MEMBERS.includes(name), `unknown member ${name}`);
  check(v.format === 'objectvault envelope vector 1', 'another format');
  check(v.id === basename(file, '.json') && v.id.startsWith(v.error ? 'refused-' : 'open-'), `the id ${v.id}`);

  // Everything is made from its inputs, also the parts that are given as bytes.
  const made = make(v.inputs), object = v.object === undefined ? made.object : hex(v.object);
  check(object.length === v.object_len, 'object_len');
  check(sha256(object).toString('hex') === v.object_sha256, 'object_sha256');
  check(made.object.equals(object), 'object: the inputs give another');
  const stanzas = (v.derived.stanzas ?? []).map((s) => ({ ...s, body: bytesOf(s.body).toString('hex') }));
  const derived = { ...v.derived, stanzas };
  for (const name of Object.keys({ ...derived, ...made.derived })) {
    check(isDeepStrictEqual(derived[name], inHex(made.derived[name])), `derived.${name}`);
  }
  if (v.object_key !== undefined) {
    check(checkReference(v.inputs) === undefined, `the reference: ${checkReference(v.inputs)}`);
    check(objectKey(v.inputs) === v.object_key, `object_key: ${objectKey(v.inputs)}`);
    const name = decodeURIComponent(v.object_key.split('/').slice(3).join('/').replace(/\.enc$/, ''));
    check(name === v.inputs.name, `object_key decodes to ${name}`);
  }

  const read = (roots) => {
    try {
      return open(object, v.reader, roots.map(hex));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      return { error };
    }
  };
  const { error, metadata, parts } = read(v.reader.roots);
  const got = error?.name ?? 'opened', want = v.error ?? 'opened';
  check(got === want, `${got}, not ${want}${error ? ` (${error.message})` : ''}`);
  check((error?.newer ?? false) === v.about.includes('newer vault'), 'newer vault: said by one of reader and vector only');
  if (!error) {
    check(join(...parts).equals(bytesOf(v.inputs.plaintext)), 'plaintext');
    check(isDeepStrictEqual(metadata, v.metadata ?? null), `metadata: ${JSON.stringify(metadata)}`);
  }
  if (v.second) checkSecond(v, object, read, check);
  return found;
}

// checkSecond shows the two-key attack of section 4: AES-GCM opens the segment under both keys, and the reader under one.
function checkSecond({ second, inputs }, object, read, check) {
  const { H, stable } = parseHeader(object), payload = object.subarray(H);
  const other = inputs.stanzas.find((s) => s.dek !== undefined);
  const payloadKey = payloadKeyOf(hex(second.dek)), key = segmentKeyOf(payloadKey, payload.subarray(1, 33), stable);
  check(other.dek === second.dek, 'second.dek is in no stanza');
  check(payloadKey.equals(hex(second.payload_key)), 'second.payload_key');
  check(key.equals(hex(second.segment_key)), 'second.segment_key');
  const text = gcmOpen('second', key, nonceOf(payload.subarray(33, 40), 0, 1), payload.subarray(40));
  check(text.equals(hex(second.plaintext)) && !text.equals(bytesOf(inputs.plaintext)), 'second.plaintext');
  check(read([other.root]).error?.name === 'ErrDecrypt', 'the reader does not refuse the second key');
}

function testVectors(files) {
  const folder = joinPath(fileURLToPath(new URL('.', import.meta.url)), 'vectors');
  const all = files.length > 0 ? files
    : readdirSync(folder).filter((file) => file.endsWith('.json')).sort().map((file) => joinPath(folder, file));
  let failed = 0;
  for (const file of all) {
    let found;
    try {
      found = problems(file);
    } catch (error) {
      found = [String(error)];
    }
    if (found.length === 0) continue;
    failed++;
    console.log(`${basename(file, '.json')}: ${found.join('; ')}`);
  }
  if (files.length === 0 && all.length < 150) console.log(`only ${all.length} vectors in the folder, there are 150 or more`);
  console.log(`${all.length - failed} passed, ${failed} failed`);
  return failed === 0 && (files.length > 0 || all.length >= 150);
}

// ---- The command

function main() {
  const string = (value) => ({ type: 'string', default: value });
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      open: string(), root: string(), name: string(),
      vault: string(''), tenant: string('default'), collection: string('credentials'),
    },
  });
  const { open: file, root: rootFile, ...reference } = values;
  if (file === undefined) {
    if (rootFile !== undefined || reference.name !== undefined) throw new Error('--root and --name need --open');
    return testVectors(positionals);
  }
  if (rootFile === undefined || reference.name === undefined || positionals.length > 0) {
    throw new Error('usage: --open FILE --root ROOTKEYFILE [--vault ID] [--tenant T] [--collection C] --name NAME');
  }
  reference.tenant = fold(reference.tenant);
  const wrong = checkReference(reference);
  if (wrong) throw new Error(`not a reference: ${wrong}`);
  const root = readRootKeyFile(rootFile);
  try {
    for (const part of open(readFileSync(file), reference, [root]).parts) process.stdout.write(part);
  } catch (error) { // the root or the reference may be another than was meant
    if (error.name === 'ErrUnknownKey') error.message += `: root ${fingerprint(root)}, object key ${objectKey(reference)}`;
    throw error;
  }
  return true;
}

try {
  if (!main()) process.exitCode = 1;
} catch (error) {
  console.error(`${error instanceof Refused ? error.name : 'Error'}: ${error.message}`);
  process.exitCode = 1; // not exit(): what is still to be written is written
}
