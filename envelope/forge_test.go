package envelope_test

// A second writer of the format, with the standard library only. It also writes objects that the
// package refuses to write, and returns all intermediate values.

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// A vector is one file of testdata/vectors; FORMAT.md describes its members.
type vector struct {
	Format       string        `json:"format"`
	ID           string        `json:"id"`
	About        string        `json:"about"`
	Reader       reader        `json:"reader"`
	Error        string        `json:"error,omitempty"`
	ObjectKey    string        `json:"object_key,omitempty"`
	Metadata     *readMetadata `json:"metadata,omitempty"`
	Inputs       inputs        `json:"inputs"`
	Derived      derived       `json:"derived"`
	Second       *second       `json:"second,omitempty"`
	Object       *string       `json:"object,omitempty"`
	ObjectLen    int           `json:"object_len"`
	ObjectSHA256 string        `json:"object_sha256"`
}

type reader struct {
	Vault      string   `json:"vault"`
	Tenant     string   `json:"tenant"`
	Collection string   `json:"collection"`
	Name       string   `json:"name"`
	Roots      []string `json:"roots"`
}

type readMetadata struct {
	ContentType string            `json:"content_type,omitempty"`
	Expires     string            `json:"expires,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
}

type inputs struct {
	Vault        string   `json:"vault"`
	Tenant       string   `json:"tenant"`
	Collection   string   `json:"collection"`
	Name         string   `json:"name"`
	Magic        string   `json:"magic,omitempty"`
	Suite        *byte    `json:"suite,omitempty"`
	Flags        byte     `json:"flags,omitempty"`
	K            byte     `json:"k"`
	N            *byte    `json:"n,omitempty"`
	H            *uint16  `json:"h,omitempty"`
	Revision     uint64   `json:"revision"`
	Rewrap       uint16   `json:"rewrap"`
	WrittenFor   []string `json:"written_for,omitempty"`
	Stanzas      []stanza `json:"stanzas"`
	Metadata     *value   `json:"metadata,omitempty"`
	Sealed       *value   `json:"sealed_metadata,omitempty"`
	Plaintext    value    `json:"plaintext"`
	EmptyFinal   bool     `json:"empty_final_segment,omitempty"`
	LastFlag     *byte    `json:"last_flag,omitempty"`
	Segments     []int    `json:"segments,omitempty"`
	Edits        []edit   `json:"edits,omitempty"`
	Random       []drawn  `json:"random"`
	RewrapRandom []drawn  `json:"rewrap_random,omitempty"`
}

type stanza struct {
	Type     byte   `json:"type"`
	Root     string `json:"root,omitempty"`
	WrapRoot string `json:"wrap_root,omitempty"`
	DEK      string `json:"dek,omitempty"`
	KEKID    string `json:"kek_id,omitempty"`
	Body     *value `json:"body,omitempty"`
}

type edit struct {
	At     int    `json:"at"`
	Remove int    `json:"remove,omitempty"`
	Insert string `json:"insert,omitempty"`
}

type drawn struct {
	For   string `json:"for"`
	Bytes string `json:"bytes"`
}

type derived struct {
	Ctx         string          `json:"ctx"`
	Stable      string          `json:"stable"`
	Stanzas     []derivedStanza `json:"stanzas"`
	MetaKey     string          `json:"meta_key,omitempty"`
	Sealed      string          `json:"sealed_metadata,omitempty"`
	HeaderLen   int             `json:"header_len"`
	HeaderHash  string          `json:"header_hash"`
	Commitment  string          `json:"commitment"`
	PayloadKey  string          `json:"payload_key"`
	SegmentKey  string          `json:"segment_key"`
	PayloadLen  int             `json:"payload_len"`
	SegmentsNum int             `json:"segments"`
	FirstNonce  string          `json:"first_nonce"`
	LastNonce   string          `json:"last_nonce"`
}

type derivedStanza struct {
	KEK     string `json:"kek,omitempty"`
	KEKID   string `json:"kek_id"`
	WrapAAD string `json:"wrap_aad,omitempty"`
	Body    *value `json:"body"`
}

type second struct {
	DEK        string `json:"dek"`
	PayloadKey string `json:"payload_key"`
	SegmentKey string `json:"segment_key"`
	Plaintext  string `json:"plaintext"`
}

// A value represents bytes: a hex string, {"text": …} or {"repeat": hex, "size": n}.
type value struct {
	Hex    string
	Text   string
	Repeat string
	Size   int
}

func (v *value) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		return json.Unmarshal(b, &v.Hex)
	}
	var o struct {
		Text, Repeat string
		Size         int
	}
	err := json.Unmarshal(b, &o)
	v.Text, v.Repeat, v.Size = o.Text, o.Repeat, o.Size
	return err
}

func (v value) MarshalJSON() ([]byte, error) {
	switch {
	case v.Text != "":
		return json.Marshal(map[string]string{"text": v.Text})
	case v.Repeat != "":
		return []byte(fmt.Sprintf(`{"repeat": %q, "size": %d}`, v.Repeat, v.Size)), nil
	}
	return json.Marshal(v.Hex)
}

func (v *value) bytes() []byte {
	switch {
	case v == nil:
		return nil
	case v.Text != "":
		return []byte(v.Text)
	case v.Repeat != "":
		unit := unhex(v.Repeat)
		return slices.Repeat(unit, v.Size/len(unit)+1)[:v.Size]
	}
	return unhex(v.Hex)
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func hkdf256(key, salt []byte, info string, n int) []byte {
	b, err := hkdf.Key(sha256.New, key, salt, info, n)
	if err != nil {
		panic(err)
	}
	return b
}

func gcm(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	a, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return a
}

// A tape returns the random bytes of a vector, in order.
type tape []drawn

func (t *tape) next(what string) []byte {
	if len(*t) == 0 || (*t)[0].For != what {
		panic(fmt.Sprintf("the next random bytes are not for %s: %v", what, *t))
	}
	b := unhex((*t)[0].Bytes)
	*t = (*t)[1:]
	return b
}

func (t tape) bytes() (all []byte) {
	for _, d := range t {
		all = append(all, unhex(d.Bytes)...)
	}
	return all
}

// forge returns the object that in describes.
func forge(in inputs) (object []byte, d derived) {
	random := tape(in.Random)
	dek := random.next("dek")

	hash := sha256.New()
	hash.Write([]byte("ove1 ctx"))
	for _, part := range []string{in.Vault, in.Tenant, in.Collection, in.Name} {
		binary.Write(hash, binary.BigEndian, uint32(len(part)))
		hash.Write([]byte(part))
	}
	ctx := hash.Sum(nil)

	magic, suite := "OVE1", byte(1)
	if in.Magic != "" {
		magic = in.Magic
	}
	if in.Suite != nil {
		suite = *in.Suite
	}
	revision := binary.BigEndian.AppendUint64(nil, in.Revision)
	stable := append([]byte(magic), suite, in.Flags, in.K)
	stable = append(stable, revision...)

	var stanzas []byte
	wrapNonces := &random
	if in.Rewrap > 0 && len(in.RewrapRandom) > 0 {
		for random[0].For == "wrap nonce" {
			random.next("wrap nonce") // the nonce of the write; the rewrap used others
		}
		again := tape(in.RewrapRandom)
		wrapNonces = &again
	}
	for _, s := range in.Stanzas {
		ds := derivedStanza{KEKID: s.KEKID, Body: s.Body}
		if s.Root != "" {
			root := unhex(s.Root)
			id := hkdf256(root, nil, "ove1 kek-id"+string(ctx), 16)
			if s.KEKID != "" {
				id = unhex(s.KEKID)
			}
			if s.WrapRoot != "" {
				root = unhex(s.WrapRoot)
			}
			kek := hkdf256(root, nil, "ove1 kek"+string(ctx), 32)
			aad := slices.Concat([]byte("ove1 wrap"), stable, []byte{s.Type}, id, ctx)
			secret := dek
			if s.DEK != "" {
				secret = unhex(s.DEK)
			}
			nonce := wrapNonces.next("wrap nonce")
			body := gcm(kek).Seal(slices.Clone(nonce), nonce, secret, aad)
			ds = derivedStanza{hex.EncodeToString(kek), hex.EncodeToString(id), hex.EncodeToString(aad), &value{Hex: hex.EncodeToString(body)}}
		}
		body := ds.Body.bytes()
		stanzas = append(stanzas, s.Type)
		stanzas = append(stanzas, unhex(ds.KEKID)...)
		stanzas = binary.BigEndian.AppendUint16(stanzas, uint16(len(body)))
		stanzas = append(stanzas, body...)
		d.Stanzas = append(d.Stanzas, ds)
	}

	var sealed []byte
	if in.Metadata != nil {
		key := hkdf256(dek, nil, "ove1 meta", 32)
		nonce := random.next("metadata nonce")
		sealed = gcm(key).Seal(slices.Clone(nonce), nonce, in.Metadata.bytes(), stable)
		d.MetaKey, d.Sealed = hex.EncodeToString(key), hex.EncodeToString(sealed)
	}
	if in.Sealed != nil {
		sealed = in.Sealed.bytes()
	}

	n, h := byte(len(in.Stanzas)), 20+len(stanzas)+2+len(sealed)+32
	length := uint16(h)
	if in.N != nil {
		n = *in.N
	}
	if in.H != nil {
		length = *in.H
	}
	header := append([]byte(magic), suite, in.Flags, in.K, n)
	header = binary.BigEndian.AppendUint16(header, length)
	header = append(header, revision...)
	header = binary.BigEndian.AppendUint16(header, in.Rewrap)
	header = append(header, stanzas...)
	header = binary.BigEndian.AppendUint16(header, uint16(len(sealed)))
	header = append(header, sealed...)
	headerHash := sha256.Sum256(header)
	commitment := hkdf256(dek, nil, "ove1 commit"+string(headerHash[:])+string(ctx), 32)
	header = append(header, commitment...)

	payloadKey := hkdf256(dek, nil, "ove1 payload", 32)
	salt, prefix := random.next("payload salt"), random.next("payload prefix")
	segmentKey := hkdf256(payloadKey, salt, string(stable), 32)
	segments, nonces := forgePayload(in, segmentKey, salt, prefix)
	if len(random) != 0 || in.Rewrap > 0 && wrapNonces != &random && len(*wrapNonces) != 0 {
		panic("random bytes are left")
	}
	order := in.Segments
	if order == nil {
		for i := range segments {
			order = append(order, i)
		}
	}
	payload := slices.Concat([]byte{40}, salt, prefix)
	for _, i := range order {
		payload = append(payload, segments[i]...)
	}
	object = append(header, payload...)
	for _, e := range in.Edits {
		object = slices.Replace(object, e.At, e.At+e.Remove, unhex(e.Insert)...)
	}

	d.Ctx, d.Stable = hex.EncodeToString(ctx), hex.EncodeToString(stable)
	d.HeaderLen, d.HeaderHash, d.Commitment = h, hex.EncodeToString(headerHash[:]), hex.EncodeToString(commitment)
	d.PayloadKey, d.SegmentKey = hex.EncodeToString(payloadKey), hex.EncodeToString(segmentKey)
	d.PayloadLen, d.SegmentsNum = len(payload), len(order)
	d.FirstNonce, d.LastNonce = hex.EncodeToString(nonces[0]), hex.EncodeToString(nonces[len(nonces)-1])
	return object, d
}

// forgePayload returns the sealed segments, the first without Tink's header.
func forgePayload(in inputs, key, salt, prefix []byte) (segments, nonces [][]byte) {
	size := 1 << in.K
	rest := in.Plaintext.bytes()
	for room := size - 56; ; room = size - 16 {
		chunk := rest[:min(room, len(rest))]
		rest = rest[len(chunk):]
		last := len(rest) == 0 && !(in.EmptyFinal && len(chunk) > 0)
		flag := byte(0)
		if last {
			flag = 1
			if in.LastFlag != nil {
				flag = *in.LastFlag
			}
		}
		nonce := slices.Concat(prefix, binary.BigEndian.AppendUint32(nil, uint32(len(segments))), []byte{flag})
		segments = append(segments, gcm(key).Seal(nil, nonce, chunk, nil))
		nonces = append(nonces, nonce)
		if last {
			return segments, nonces
		}
	}
}

// objectKey returns the object key of a name according to FORMAT.md. Package vault has its own
// implementation.
func objectKey(tenant, collection, name string) string {
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		plain := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~@=/", c) >= 0
		if c == '_' && i > 0 && name[i-1] == '_' || c == '.' && strings.HasPrefix(name[i:], ".enc/") {
			plain = false
		}
		if plain {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return "bots/" + tenant + "/" + collection + "/" + b.String() + ".enc"
}
