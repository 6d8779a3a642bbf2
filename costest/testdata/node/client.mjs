// A second, independent client of costest: cos-nodejs-sdk-v5.
//
//   node client.mjs < JSON with proxy, bucket, region, secretId, secretKey, versioning
//
// Prints "N checks passed", or the first failure, and then exits 1.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import COS from 'cos-nodejs-sdk-v5';

const at = JSON.parse(readFileSync(0, 'utf8'));
const cos = new COS({ SecretId: at.secretId, SecretKey: at.secretKey, Protocol: 'http:', Proxy: at.proxy, KeepAlive: false });
const where = { Bucket: at.bucket, Region: at.region };
const versioned = at.versioning === 'Enabled';
let passed = 0;

async function check(name, f) {
  try {
    await f();
    passed++;
  } catch (e) {
    console.log(`${name}: ${e.stack ?? JSON.stringify(e)}`);
    process.exit(1);
  }
}

const refused = (promise, statusCode, code) => assert.rejects(promise, (e) => {
  assert.deepEqual([e.statusCode, e.code], [statusCode, code]);
  return true;
});
const read = async (Key, more = {}) => (await cos.getObject({ ...where, Key, ...more })).Body.toString();
const etag = (body) => `"${createHash('md5').update(body).digest('hex')}"`;
const odd = "a b+c&d=e/腾讯云/!'()*~;:@,$.txt";

await check('put', async () => {
  const out = await cos.putObject({ ...where, Key: odd, Body: 'value', ContentType: 'text/plain', 'x-cos-meta-a': 'b' });
  assert.equal(out.ETag, etag('value'));
  assert.equal(Boolean(out.headers['x-cos-version-id']), versioned);
});
await check('get', async () => {
  assert.equal(await read(odd), 'value');
  assert.equal(await read(odd, { Range: 'bytes=1-2' }), 'al');
  await refused(cos.getObject({ ...where, Key: 'absent' }), 404, 'NoSuchKey');
});
await check('head', async () => {
  const out = await cos.headObject({ ...where, Key: odd });
  assert.equal(out.headers['x-cos-meta-a'], 'b');
  assert.equal(out.headers['content-type'], 'text/plain');
  assert.match(out.headers['x-cos-hash-crc64ecma'], /^[0-9]+$/);
});
await check('another secret', async () => {
  const other = new COS({ SecretId: at.secretId, SecretKey: 'another', Protocol: 'http:', Proxy: at.proxy });
  await refused(other.getObject({ ...where, Key: odd }), 403, 'SignatureDoesNotMatch');
});
await check('presigned', async () => {
  const url = cos.getObjectUrl({ ...where, Key: odd, Sign: true, Protocol: 'http:' });
  assert.match(url, /q-signature=/);
  const status = (path) => new Promise((resolve, reject) => {
    const { hostname, port } = new URL(at.proxy);
    http.get({ hostname, port, path, agent: false }, (resp) => resolve(resp.resume().statusCode)).on('error', reject);
  });
  assert.equal(await status(url), 200);
  assert.equal(await status(url.replace('.txt', '.tx')), 403);
});
await check('list', async () => {
  for (const Key of ['list/1', 'list/2', 'list/dir/3', 'list/é']) await cos.putObject({ ...where, Key, Body: Key });
  const page = await cos.getBucket({ ...where, Prefix: 'list/', Delimiter: '/', MaxKeys: 2 });
  assert.deepEqual(page.Contents.map((o) => o.Key), ['list/1', 'list/2']);
  assert.equal(page.IsTruncated, 'true');
  const rest = await cos.getBucket({ ...where, Prefix: 'list/', Delimiter: '/', Marker: page.NextMarker });
  assert.deepEqual(rest.Contents.map((o) => o.Key), ['list/é']);
  assert.deepEqual(rest.CommonPrefixes.map((p) => p.Prefix), ['list/dir/']);
  assert.equal(rest.IsTruncated, 'false');
});
await check('multipart', async () => {
  const Key = 'multi part';
  const parts = [Buffer.alloc(1 << 20, 'a'), Buffer.alloc((1 << 20) + 1, 'b'), Buffer.from('c')];
  const { UploadId } = await cos.multipartInit({ ...where, Key });
  const Parts = [];
  for (const [i, Body] of parts.entries()) {
    const out = await cos.multipartUpload({ ...where, Key, UploadId, PartNumber: i + 1, Body });
    assert.equal(out.ETag, etag(Body));
    Parts.push({ PartNumber: i + 1, ETag: out.ETag });
  }
  const listed = await cos.multipartListPart({ ...where, Key, UploadId });
  assert.deepEqual(listed.Part.map((p) => [p.PartNumber, p.Size]), parts.map((p, i) => [String(i + 1), String(p.length)]));
  await refused(cos.multipartComplete({ ...where, Key, UploadId, Parts: [Parts[0], Parts[2]] }), 400, 'InvalidPart');
  const out = await cos.multipartComplete({ ...where, Key, UploadId, Parts });
  assert.match(out.ETag, /^"[0-9a-f]{32}-3"$/);
  assert.ok((await cos.getObject({ ...where, Key })).Body.equals(Buffer.concat(parts)));
});
await check('abort', async () => {
  const { UploadId } = await cos.multipartInit({ ...where, Key: 'aborted' });
  const uploads = await cos.multipartList({ ...where, Prefix: 'abort' });
  assert.deepEqual(uploads.Upload.map((u) => u.UploadId), [UploadId]);
  await cos.multipartAbort({ ...where, Key: 'aborted', UploadId });
  await refused(cos.multipartAbort({ ...where, Key: 'aborted', UploadId }), 404, 'NoSuchUpload');
});
await check('3 MiB at once', async () => {
  const Body = Buffer.alloc(3 << 20, 'slice');
  await cos.putObject({ ...where, Key: 'slices', Body });
  assert.equal((await cos.headObject({ ...where, Key: 'slices' })).headers['content-length'], String(Body.length));
});
await check('copy', async () => {
  const host = `${at.bucket}.cos.${at.region}.myqcloud.com`;
  const out = await cos.putObjectCopy({ ...where, Key: 'copy', CopySource: `${host}/${encodeURIComponent(odd).replace(/%2F/g, '/')}` });
  assert.equal(out.ETag, etag('value'));
  assert.equal(await read('copy'), 'value');
  await refused(cos.putObjectCopy({ ...where, Key: 'copy', CopySource: `${host}/absent` }), 404, 'NoSuchCopySource');
});
await check('part copy', async () => {
  const Key = 'part copy';
  const CopySource = `${at.bucket}.cos.${at.region}.myqcloud.com/slices`;
  const { UploadId } = await cos.multipartInit({ ...where, Key });
  const Parts = [];
  for (const [i, CopySourceRange] of ['bytes=0-1048575', 'bytes=1048576-3145727'].entries()) {
    const out = await cos.uploadPartCopy({ ...where, Key, UploadId, PartNumber: i + 1, CopySource, CopySourceRange });
    Parts.push({ PartNumber: i + 1, ETag: out.ETag });
  }
  await cos.multipartComplete({ ...where, Key, UploadId, Parts });
  assert.equal((await read(Key)).length, 3 << 20);
});
await check('forbid overwrite', async () => {
  const put = () => cos.putObject({ ...where, Key: 'once', Body: 'v', Headers: { 'x-cos-forbid-overwrite': 'true' } });
  await put();
  if (at.versioning) await put();
  else await refused(put(), 409, 'FileAlreadyExists');
});
await check('versions', async () => {
  const state = await cos.getBucketVersioning({ ...where });
  assert.equal(state.VersioningConfiguration.Status ?? '', at.versioning);
  const Key = 'versions';
  for (const Body of ['one', 'two']) await cos.putObject({ ...where, Key, Body });
  await cos.deleteObject({ ...where, Key });
  const out = await cos.listObjectVersions({ ...where, Prefix: Key });
  const versions = out.Versions ?? [];
  const markers = out.DeleteMarkers ?? [];
  if (!versioned) { // one that is suspended has a marker called null
    assert.deepEqual([versions.length, markers.map((m) => m.VersionId)], [0, at.versioning ? ['null'] : []]);
    return;
  }
  assert.deepEqual([versions.length, markers.length], [2, 1]);
  assert.equal(await read(Key, { VersionId: versions[0].VersionId }), 'two');
  assert.equal(await read(Key, { VersionId: versions[1].VersionId }), 'one');
  await refused(cos.getObject({ ...where, Key }), 404, 'NoSuchKey');
  await cos.deleteObject({ ...where, Key, VersionId: markers[0].VersionId });
  assert.equal(await read(Key), 'two');
});
await check('delete', async () => {
  const out = await cos.deleteMultipleObject({ ...where, Objects: [{ Key: odd }, { Key: 'copy' }, { Key: 'absent' }] });
  assert.deepEqual(out.Deleted.map((d) => d.Key), [odd, 'copy', 'absent']);
  await refused(cos.getObject({ ...where, Key: odd }), 404, 'NoSuchKey');
  const gone = await cos.deleteObject({ ...where, Key: 'slices' });
  assert.equal(gone.statusCode, 204);
});
console.log(`${passed} checks passed`);
