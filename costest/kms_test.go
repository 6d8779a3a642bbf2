package costest_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/objectvault/objectvault/costest"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// kmsAs returns a function that sends a call to KMS, signed by k.
func kmsAs(t *testing.T, s *costest.Server, k accessKey) func(action string, in map[string]any) map[string]any {
	return func(action string, in map[string]any) map[string]any {
		t.Helper()
		return ask(t, s, time.Now(), k, "kms", action, in, nil)
	}
}

func TestKMS(t *testing.T) {
	s := start(t, nil)
	owner := kmsAs(t, s, ownerKey(s))
	created := owner("CreateKey", map[string]any{"Alias": "vault"})
	wantCall(t, "create", created, "")
	id, other := created["KeyId"].(string), s.NewKMSKey()
	sealed := owner("Encrypt", map[string]any{"KeyId": id, "Plaintext": b64("value"), "EncryptionContext": `{"a":"b"}`})
	if sealed["KeyId"] != id || strings.Count(sealed["CiphertextBlob"].(string), "-k-") != 2 {
		t.Errorf("Encrypt: %v", sealed)
	}
	opened := owner("Decrypt", map[string]any{"CiphertextBlob": sealed["CiphertextBlob"], "EncryptionContext": `{"a":"b"}`})
	if opened["KeyId"] != id || opened["Plaintext"] != b64("value") {
		t.Errorf("Decrypt: %v", opened)
	}
	if m, _ := owner("DescribeKey", map[string]any{"KeyId": id})["KeyMetadata"].(map[string]any); m["KeyState"] != "Enabled" || m["KeyId"] != id {
		t.Errorf("DescribeKey: %v", m)
	}
	r := s.Requests()[len(s.Requests())-1]
	if r.Service != "kms" || r.Action != "DescribeKey" || r.AccessKeyID != s.SecretID() {
		t.Errorf("the request is recorded as %+v", r)
	}

	blob := owner("Encrypt", map[string]any{"KeyId": id, "Plaintext": b64("value")})["CiphertextBlob"].(string)
	parts := strings.Split(blob, "-k-")
	for _, tc := range []struct {
		what, action string
		in           map[string]any
		want         string
	}{
		{"4096 bytes", "Encrypt", map[string]any{"KeyId": id, "Plaintext": b64(strings.Repeat("x", 4096))}, ""},
		{"4097 bytes", "Encrypt", map[string]any{"KeyId": id, "Plaintext": b64(strings.Repeat("x", 4097))}, "InvalidParameterValue.InvalidPlaintext"},
		{"not Base64", "Encrypt", map[string]any{"KeyId": id, "Plaintext": "value!"}, "InvalidParameterValue.InvalidPlaintext"},
		{"no key", "Encrypt", map[string]any{"Plaintext": b64("value")}, "MissingParameter"},
		{"alias instead of a key", "Encrypt", map[string]any{"KeyId": "vault", "Plaintext": b64("value")}, "InvalidParameterValue.InvalidKeyId"},
		{"missing key", "Encrypt", map[string]any{"KeyId": "93866e69-9755-11ef-8e65-52540089bc41", "Plaintext": b64("value")}, "ResourceUnavailable.CmkNotFound"},
		{"long context", "Encrypt", map[string]any{"KeyId": id, "Plaintext": b64("value"), "EncryptionContext": `{"a":"` + strings.Repeat("b", 1024) + `"}`}, "InvalidParameter"},
		{"context only on Decrypt", "Decrypt", map[string]any{"CiphertextBlob": blob, "EncryptionContext": `{"a":"b"}`}, "InvalidParameterValue.InvalidCiphertext"},
		{"KeyId on Decrypt", "Decrypt", map[string]any{"CiphertextBlob": blob, "KeyId": id}, "UnknownParameter"},
		{"no ciphertext", "Decrypt", map[string]any{}, "MissingParameter"},
		{"another key", "Decrypt", map[string]any{"CiphertextBlob": parts[0] + "-k-" + b64(other) + "-k-" + parts[2]}, "InvalidParameterValue.InvalidCiphertext"},
		{"truncated ciphertext", "Decrypt", map[string]any{"CiphertextBlob": parts[0]}, "InvalidParameterValue.InvalidCiphertext"},
		{"changed ciphertext", "Decrypt", map[string]any{"CiphertextBlob": b64("x") + "-k-" + parts[1] + "-k-" + parts[2]}, "InvalidParameterValue.InvalidCiphertext"},
		{"encrypted response requested", "Decrypt", map[string]any{"CiphertextBlob": blob, "EncryptionPublicKey": "PEM"}, "UnsupportedOperation"},
		{"alias with a space", "CreateKey", map[string]any{"Alias": "a b"}, "InvalidParameterValue.InvalidAlias"},
		{"key for signatures", "CreateKey", map[string]any{"Alias": "a", "KeyUsage": "ASYMMETRIC_SIGN_VERIFY_SM2"}, "InvalidParameterValue.InvalidKeyUsage"},
		{"unknown action", "ListKeys", nil, "InvalidAction"},
	} {
		wantCall(t, tc.what, owner(tc.action, tc.in), tc.want)
	}
	wantCall(t, "unsigned", ask(t, s, time.Now(), accessKey{}, "kms", "Decrypt", map[string]any{"CiphertextBlob": blob}, nil), "AuthFailure.SignatureFailure")
	wantCall(t, "a wrong secret", ask(t, s, time.Now(), accessKey{s.SecretID(), "wrong", ""}, "kms", "Decrypt", map[string]any{"CiphertextBlob": blob}, nil), "AuthFailure.SignatureFailure")
	wantCall(t, "another region", ask(t, s, time.Now(), ownerKey(s), "kms", "Decrypt", map[string]any{"CiphertextBlob": blob},
		func(r *http.Request) { r.Header.Set("X-TC-Region", "eu-frankfurt") }), "UnsupportedRegion")

	encrypt, decrypt := map[string]any{"KeyId": id, "Plaintext": b64("value")}, map[string]any{"CiphertextBlob": blob}
	for _, tc := range []struct{ state, encrypt, decrypt string }{
		{"Disabled", "ResourceUnavailable.CmkDisabled", "ResourceUnavailable.CmkDisabled"},
		{"PendingDelete", "ResourceUnavailable.CmkStateNotSupport", "ResourceUnavailable.CmkStateNotSupport"},
		{"Archived", "ResourceUnavailable.CmkArchived", ""},
		{"Enabled", "", ""},
	} {
		check(t, s.SetKMSKeyState(id, tc.state))
		wantCall(t, tc.state, owner("Encrypt", encrypt), tc.encrypt)
		wantCall(t, tc.state, owner("Decrypt", decrypt), tc.decrypt)
	}
	wantCall(t, "disable", owner("DisableKey", map[string]any{"KeyId": id}), "")
	wantCall(t, "disabled", owner("Decrypt", decrypt), "ResourceUnavailable.CmkDisabled")
	wantCall(t, "enable", owner("EnableKey", map[string]any{"KeyId": id}), "")
	wantCall(t, "enabled", owner("Decrypt", decrypt), "")
	if s.SetKMSKeyState(id, "Lost") == nil || s.SetKMSKeyState("none", "Enabled") == nil || s.AddKMSKey("vault") == nil {
		t.Error("an unknown state, key or id is accepted")
	}
	check(t, s.AddKMSKey("93866e69-9755-11ef-8e65-52540089bc41"))
}

// TestKMSPolicies: the policy of a role names the action and the key.
func TestKMSPolicies(t *testing.T) {
	s := start(t, nil)
	id, other := s.NewKMSKey(), s.NewKMSKey()
	trust := policyText(map[string]any{"effect": "allow", "action": "name/sts:AssumeRole", "principal": map[string]any{"qcs": "qcs::cam::uin/" + ownerUin + ":root"}})
	as := func(name string, statements ...map[string]any) func(string, map[string]any) map[string]any {
		t.Helper()
		arn, err := s.AddRole(name, trust, policyText(statements...))
		check(t, err)
		return kmsAs(t, s, keyOf(t, ask(t, s, time.Now(), ownerKey(s), "sts", "AssumeRole", map[string]any{"RoleArn": arn, "RoleSessionName": "xx"}, nil)))
	}
	if want := "qcs::kms:ap-guangzhou:uin/" + ownerUin + ":key/creatorUin/" + ownerUin + "/" + id; s.KMSKeyResource(id) != want {
		t.Errorf("the resource is %s, want %s", s.KMSKeyResource(id), want)
	}
	allow := func(resource string, actions ...string) map[string]any {
		return map[string]any{"effect": "allow", "action": actions, "resource": resource}
	}
	both := as("both", allow(s.KMSKeyResource(id), "kms:Encrypt", "kms:Decrypt"))
	reader := as("reader", allow(s.KMSKeyResource(id), "name/kms:Decrypt"))
	none := as("none", allow("qcs::cos:ap-guangzhou:uid/1250000000:vault-1250000000/*", "name/cos:GetObject"))
	denied := as("denied", allow("*", "kms:*"), map[string]any{"effect": "deny", "action": "kms:Decrypt", "resource": s.KMSKeyResource(id)})
	anyKey := as("any", allow("qcs::kms:*:uin/"+ownerUin+":key/*", "kms:Encrypt"))
	elsewhere := as("elsewhere", allow(strings.Replace(s.KMSKeyResource(id), "ap-guangzhou", "ap-beijing", 1), "kms:Decrypt"))

	blob := both("Encrypt", map[string]any{"KeyId": id, "Plaintext": b64("value")})["CiphertextBlob"]
	encrypt := func(key string) map[string]any { return map[string]any{"KeyId": key, "Plaintext": b64("value")} }
	decrypt := map[string]any{"CiphertextBlob": blob}
	for _, tc := range []struct {
		what string
		out  map[string]any
		want string
	}{
		{"both decrypts", both("Decrypt", decrypt), ""},
		{"both encrypts with another key", both("Encrypt", encrypt(other)), "UnauthorizedOperation"},
		{"both describes", both("DescribeKey", map[string]any{"KeyId": id}), "UnauthorizedOperation"},
		{"both creates", both("CreateKey", map[string]any{"Alias": "x"}), "UnauthorizedOperation"},
		{"reader decrypts", reader("Decrypt", decrypt), ""},
		{"reader encrypts", reader("Encrypt", encrypt(id)), "UnauthorizedOperation"},
		{"none decrypts", none("Decrypt", decrypt), "UnauthorizedOperation"},
		{"none encrypts, missing key", none("Encrypt", encrypt("93866e69-9755-11ef-8e65-52540089bc41")), "UnauthorizedOperation"},
		{"denied decrypts", denied("Decrypt", decrypt), "UnauthorizedOperation"},
		{"denied encrypts", denied("Encrypt", encrypt(id)), ""},
		{"any encrypts with another key", anyKey("Encrypt", encrypt(other)), ""},
		{"elsewhere decrypts in another region", elsewhere("Decrypt", decrypt), "UnauthorizedOperation"},
	} {
		wantCall(t, tc.what, tc.out, tc.want)
	}
}

func TestKMSVariants(t *testing.T) {
	s := start(t, &costest.Options{Unsure: map[string]string{"kms-damaged": "FailedOperation.DecryptError", "kms-key-missing": "ResourceNotFound"}})
	owner := kmsAs(t, s, ownerKey(s))
	wantCall(t, "damaged", owner("Decrypt", map[string]any{"CiphertextBlob": "x"}), "FailedOperation.DecryptError")
	wantCall(t, "missing", owner("DescribeKey", map[string]any{"KeyId": "93866e69-9755-11ef-8e65-52540089bc41"}), "ResourceNotFound")
}
