package costest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"
)

// keys implements KMS (tencentcloud.com/document/product/1030): symmetric keys that are created by
// CreateKey, [Server.NewKMSKey] or [Server.AddKMSKey].
type keys struct {
	s *Server

	mu   sync.Mutex
	byID map[string]*kmsKey
}

type kmsKey struct {
	id, alias, description string
	state                  string // Enabled, Disabled, PendingDelete or Archived
	secret                 []byte
	created                time.Time
}

// The limits of KMS (1030/32189).
const (
	maxKMSPlaintext = 4 << 10
	maxKMSContext   = 1024
)

var (
	kmsKeyID = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	kmsAlias = regexp.MustCompile(`^[A-Za-z0-9_-]{1,60}$`)
)

var kmsQuestions = []Question{
	{"kms-damaged", "the error code for a ciphertext that KMS did not make", []string{"InvalidParameterValue.InvalidCiphertext", "FailedOperation.DecryptError"}},
	{"kms-key-missing", "the error code for a missing key", []string{"ResourceUnavailable.CmkNotFound", "ResourceNotFound"}},
}

// NewKMSKey creates a symmetric key of KMS and returns its id.
func (s *Server) NewKMSKey() (id string) {
	return s.keys.create(requestUUID(), "", "").id
}

// AddKMSKey creates a symmetric key with the given id, such as 93866e69-9755-11ef-8e65-52540089bc41.
// It replaces a key with the same id.
func (s *Server) AddKMSKey(id string) error {
	if !kmsKeyID.MatchString(id) {
		return fmt.Errorf("costest: %q is not the id of a key", id)
	}
	s.keys.create(id, "", "")
	return nil
}

// SetKMSKeyState changes the state of a key: Enabled, Disabled, PendingDelete, or Archived, in which
// a key decrypts but does not encrypt.
func (s *Server) SetKMSKeyState(id, state string) error {
	s.keys.mu.Lock()
	defer s.keys.mu.Unlock()
	k := s.keys.byID[id]
	switch state {
	case "Enabled", "Disabled", "PendingDelete", "Archived":
	default:
		return fmt.Errorf("costest: a key has no state %q", state)
	}
	if k == nil {
		return errors.New("costest: there is no such key")
	}
	k.state = state
	return nil
}

// KMSKeyResource returns the name of a key in policies: qcs::kms:REGION:uin/UIN:key/creatorUin/UIN/ID.
func (s *Server) KMSKeyResource(id string) string {
	return "qcs::kms:" + s.o.Region + ":uin/" + s.o.OwnerUin + ":key/creatorUin/" + s.o.OwnerUin + "/" + id
}

func newKeys(s *Server) *keys { return &keys{s: s, byID: make(map[string]*kmsKey)} }

func (k *keys) create(id, alias, description string) *kmsKey {
	key := &kmsKey{id: id, alias: alias, description: description, state: "Enabled", secret: make([]byte, 32), created: k.s.o.Now()}
	rand.Read(key.secret)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.byID[key.id] = key
	return key
}

// serveKMS handles POST / of KMS.
func (s *Server) serveKMS(w http.ResponseWriter, r *http.Request) {
	s.serveCall(w, r, "kms", "2019-01-18", func(c *call) (map[string]any, error) {
		if err := c.authenticate(); err != nil {
			return nil, err
		}
		if err := c.require("X-TC-Region"); err != nil {
			return nil, err
		}
		if region := r.Header.Get("X-TC-Region"); region != s.o.Region {
			return nil, refuse("UnsupportedRegion", "costest has no KMS in %s.", region)
		}
		switch c.action {
		case "CreateKey":
			return s.keys.callCreate(c)
		case "DescribeKey":
			return s.keys.describe(c)
		case "EnableKey", "DisableKey":
			return s.keys.setState(c)
		case "Encrypt":
			return s.keys.encrypt(c)
		case "Decrypt":
			return s.keys.decrypt(c)
		}
		return nil, refuse("InvalidAction", "costest does not know %s.", c.action)
	})
}

func (k *keys) callCreate(c *call) (map[string]any, error) {
	var in struct{ Alias, Description, KeyUsage string }
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	switch {
	case !c.caller.root:
		return nil, refuse("UnauthorizedOperation", "You are not authorized to perform the operation kms:CreateKey.")
	case !kmsAlias.MatchString(in.Alias):
		return nil, refuse("InvalidParameterValue.InvalidAlias", "Alias is malformed.")
	case in.KeyUsage != "" && in.KeyUsage != "ENCRYPT_DECRYPT":
		return nil, refuse("InvalidParameterValue.InvalidKeyUsage", "costest has symmetric keys only.")
	}
	key := k.create(requestUUID(), in.Alias, in.Description)
	return map[string]any{
		"KeyId": key.id, "Alias": key.alias, "Description": key.description, "KeyState": key.state, "KeyUsage": "ENCRYPT_DECRYPT",
		"CreateTime": key.created.Unix(), "TagCode": 0, "TagMsg": "",
	}, nil
}

// find returns a copy of a key that the caller may use for the action. Whether the caller may is
// checked first.
func (k *keys) find(c *call, id string) (kmsKey, error) {
	if !kmsKeyID.MatchString(id) {
		return kmsKey{}, refuse("InvalidParameterValue.InvalidKeyId", "KeyId is malformed.")
	}
	r := accessRequest{action: "name/kms:" + c.action, resource: k.s.KMSKeyResource(id)}
	if k.s.authorize(c.caller, r) != nil {
		return kmsKey{}, refuse("UnauthorizedOperation", "You are not authorized to perform the operation kms:%s on %s.", c.action, r.resource)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	key := k.byID[id]
	if key == nil {
		return kmsKey{}, refuse(k.s.unsure("kms-key-missing"), "The key does not exist.")
	}
	return *key, nil
}

// usable rejects a key whose state does not allow the action.
func (k kmsKey) usable(action string) error {
	switch {
	case k.state == "Disabled":
		return refuse("ResourceUnavailable.CmkDisabled", "The key is disabled.")
	case k.state == "PendingDelete":
		return refuse("ResourceUnavailable.CmkStateNotSupport", "The state of the key does not support this operation.")
	case k.state == "Archived" && action == "Encrypt":
		return refuse("ResourceUnavailable.CmkArchived", "The key is archived.")
	}
	return nil
}

func (k *keys) describe(c *call) (map[string]any, error) {
	var in struct {
		KeyID string `json:"KeyId"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	key, err := k.find(c, in.KeyID)
	if err != nil {
		return nil, err
	}
	return map[string]any{"KeyMetadata": map[string]any{
		"KeyId": key.id, "Alias": key.alias, "Description": key.description, "KeyState": key.state, "KeyUsage": "ENCRYPT_DECRYPT",
		"Type": 1, "CreateTime": key.created.Unix(), "CreatorUin": k.s.o.OwnerUin, "Owner": "user", "Origin": "TENCENT_KMS",
	}}, nil
}

func (k *keys) setState(c *call) (map[string]any, error) {
	var in struct {
		KeyID string `json:"KeyId"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	key, err := k.find(c, in.KeyID)
	if err != nil {
		return nil, err
	}
	if key.state != "Enabled" && key.state != "Disabled" {
		return nil, refuse("ResourceUnavailable.CmkStateNotSupport", "The state of the key does not support this operation.")
	}
	return nil, k.s.SetKMSKeyState(key.id, map[string]string{"EnableKey": "Enabled", "DisableKey": "Disabled"}[c.action])
}

// aead returns the cipher of a key.
func (k kmsKey) aead() cipher.AEAD {
	block, err := aes.NewCipher(k.secret)
	if err != nil {
		panic("costest: " + err.Error())
	}
	a, err := cipher.NewGCM(block)
	if err != nil {
		panic("costest: " + err.Error())
	}
	return a
}

// checkContext checks an EncryptionContext, a JSON object of strings.
func checkContext(text string) error {
	var pairs map[string]string
	if len(text) > maxKMSContext || text != "" && json.Unmarshal([]byte(text), &pairs) != nil {
		return refuse("InvalidParameter", "EncryptionContext is malformed or longer than %d characters.", maxKMSContext)
	}
	return nil
}

// encrypt implements Encrypt. A ciphertext is three strings in Base64 with -k- between them, as in the
// documentation: the sealed data, the id of the key, and the nonce.
func (k *keys) encrypt(c *call) (map[string]any, error) {
	var in struct {
		KeyID             string `json:"KeyId"`
		Plaintext         string
		EncryptionContext string
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if in.KeyID == "" || in.Plaintext == "" {
		return nil, refuse("MissingParameter", "KeyId or Plaintext is missing.")
	}
	key, err := k.find(c, in.KeyID)
	if err != nil {
		return nil, err
	}
	plaintext, err := base64.StdEncoding.DecodeString(in.Plaintext)
	if err != nil || len(plaintext) > maxKMSPlaintext {
		return nil, refuse("InvalidParameterValue.InvalidPlaintext", "Plaintext is not Base64, or longer than %d bytes.", maxKMSPlaintext)
	}
	if err := checkContext(in.EncryptionContext); err != nil {
		return nil, err
	}
	if err := key.usable("Encrypt"); err != nil {
		return nil, err
	}
	nonce := make([]byte, 12)
	rand.Read(nonce)
	sealed := key.aead().Seal(nil, nonce, plaintext, []byte(key.id+in.EncryptionContext))
	b64 := base64.StdEncoding.EncodeToString
	return map[string]any{"CiphertextBlob": b64(sealed) + "-k-" + b64([]byte(key.id)) + "-k-" + b64(nonce), "KeyId": key.id}, nil
}

// decrypt implements Decrypt, which finds the key in the ciphertext.
func (k *keys) decrypt(c *call) (map[string]any, error) {
	var in struct {
		CiphertextBlob      string
		EncryptionContext   string
		EncryptionPublicKey string
		EncryptionAlgorithm string
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	damaged := refuse(k.s.unsure("kms-damaged"), "The ciphertext is not valid.")
	var parts [3][]byte
	fields := strings.Split(in.CiphertextBlob, "-k-")
	switch {
	case in.CiphertextBlob == "":
		return nil, refuse("MissingParameter", "CiphertextBlob is missing.")
	case in.EncryptionPublicKey != "" || in.EncryptionAlgorithm != "":
		return nil, refuse("UnsupportedOperation", "costest does not encrypt responses.")
	case len(fields) != len(parts):
		return nil, damaged
	}
	if err := checkContext(in.EncryptionContext); err != nil {
		return nil, err
	}
	for i, field := range fields {
		var err error
		if parts[i], err = base64.StdEncoding.DecodeString(field); err != nil {
			return nil, damaged
		}
	}
	if !kmsKeyID.Match(parts[1]) || len(parts[2]) != 12 {
		return nil, damaged
	}
	key, err := k.find(c, string(parts[1]))
	if err != nil {
		return nil, err
	}
	if err := key.usable("Decrypt"); err != nil {
		return nil, err
	}
	plaintext, err := key.aead().Open(nil, parts[2], parts[0], []byte(key.id+in.EncryptionContext))
	if err != nil {
		return nil, damaged
	}
	return map[string]any{"Plaintext": base64.StdEncoding.EncodeToString(plaintext), "KeyId": key.id}, nil
}
