// Package keyring encrypts what Waggle must be able to send to others: bot tokens, CRM passwords. It is a keyset of Tink's
// AEAD: what is sealed says which key it needs, so that new secrets are sealed with the primary key while the old keys
// still open what they sealed.
//
// A keyset is text: Tink's JSON form, in clear or in base64. Whoever has it can open everything, so it lives where the
// operator keeps secrets: a file with mode 0600.
package keyring

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// Ring seals and opens. It is safe for concurrent use.
type Ring struct{ aead tink.AEAD }

// Errors of this package. Neither they nor what wraps them hold key material.
var (
	ErrKeyset = errors.New("not a keyset: want Tink's JSON, in clear or in base64")
	ErrOpen   = errors.New("cannot open: sealed with a key that is not in the keyset, for another row, or changed since")
)

// Seal encrypts plain with the primary key. What is sealed opens only with the same about.
func (r *Ring) Seal(plain []byte, about string) ([]byte, error) {
	sealed, err := r.aead.Encrypt(plain, []byte(about))
	if err != nil {
		return nil, fmt.Errorf("seal %s: %w", about, err)
	}
	return sealed, nil
}

// Open decrypts what Seal gave, with whichever key of the keyset sealed it. Any failure is ErrOpen.
func (r *Ring) Open(sealed []byte, about string) ([]byte, error) {
	plain, err := r.aead.Decrypt(sealed, []byte(about))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", about, ErrOpen)
	}
	return plain, nil
}

// Parse reads a keyset.
func Parse(text string) (*Ring, error) {
	h, err := read(text)
	if err != nil {
		return nil, err
	}
	a, err := aead.New(h)
	if err != nil {
		return nil, fmt.Errorf("the keyset is not for AEAD: %w", ErrKeyset)
	}
	return &Ring{aead: a}, nil
}

// Load reads a keyset from a file.
func Load(path string) (*Ring, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the keyset: %w", err)
	}
	r, err := Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("read the keyset %s: %w", path, err)
	}
	return r, nil
}

// LoadOrCreate reads the keyset from a file, or makes a new one there that only the file's owner may read: for the
// commands that may begin an installation.
func LoadOrCreate(path string) (*Ring, error) {
	r, err := Load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	if err := create(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make a keyset: %w", err)
	}
	return Load(path)
}

// RotateFile is Rotate for the keyset of a file, which only its owner may read afterwards. Before Retired is written, reseal gets
// what will be left: it must seal all that was sealed with the old keys anew. If it fails, the file stays as it is.
func RotateFile(path string, reseal func(left *Ring) error) (Step, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read the keyset: %w", err)
	}
	rotated, step, err := Rotate(string(text))
	if err != nil {
		return "", fmt.Errorf("rotate the keyset %s: %w", path, err)
	}
	if step == Retired {
		left, err := Parse(rotated)
		if err != nil {
			return "", fmt.Errorf("rotate the keyset %s: %w", path, err)
		}
		if err := reseal(left); err != nil {
			return "", fmt.Errorf("retire the old keys of %s: %w", path, err)
		}
	}
	if err := writeWhole(path, rotated, os.Rename); err != nil {
		return "", fmt.Errorf("write the keyset %s: %w", path, err)
	}
	return step, nil
}

// create writes a new keyset to a file that does not exist yet.
func create(path string) error {
	text, err := New()
	if err != nil {
		return err
	}
	// Unlike a rename, a link does not replace the keyset of a process that was faster.
	return writeWhole(path, text, os.Link)
}

// writeWhole writes a file that appears whole or not at all: a half keyset would lock the database up.
func writeWhole(path, text string, place func(from, to string) error) error {
	// CreateTemp makes files with mode 0600.
	f, err := os.CreateTemp(filepath.Dir(path), ".keyset-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return place(f.Name(), path)
}

// New makes a keyset of one AES-256-GCM key, in base64.
func New() (string, error) {
	h, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return "", fmt.Errorf("make a key: %w", err)
	}
	return write(h)
}

// Step is what a rotation has done.
type Step string

// The steps, in their order. After each every process must have got the keyset before the next one.
const (
	Added   Step = "added"   // a new key, which only opens: what others seal with it later can be opened everywhere
	InUse   Step = "in use"  // it seals; the old keys still open what they sealed
	Retired Step = "retired" // the old keys are gone
)

// Rotate does the next step of changing the key that seals, and returns the keyset in base64.
func Rotate(text string) (rotated string, step Step, err error) {
	h, err := read(text)
	if err != nil {
		return "", "", err
	}
	m, info := keyset.NewManagerFromHandle(h), h.KeysetInfo()
	keys := info.GetKeyInfo()
	newest := keys[len(keys)-1].GetKeyId()
	switch {
	case newest != info.GetPrimaryKeyId():
		step, err = InUse, m.SetPrimary(newest)
	case len(keys) > 1:
		step = Retired
		for _, old := range keys[:len(keys)-1] {
			err = errors.Join(err, m.Delete(old.GetKeyId()))
		}
	default:
		step = Added
		_, err = m.Add(aead.AES256GCMKeyTemplate())
	}
	if err != nil {
		return "", "", fmt.Errorf("rotate the keyset: %w", err)
	}
	if h, err = m.Handle(); err != nil {
		return "", "", fmt.Errorf("rotate the keyset: %w", err)
	}
	rotated, err = write(h)
	return rotated, step, err
}

func read(text string) (*keyset.Handle, error) {
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "{") {
		decoded, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, ErrKeyset
		}
		text = string(decoded)
	}
	h, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(strings.NewReader(text)))
	if err != nil {
		return nil, ErrKeyset
	}
	return h, nil
}

func write(h *keyset.Handle) (string, error) {
	var b bytes.Buffer
	if err := insecurecleartextkeyset.Write(h, keyset.NewJSONWriter(&b)); err != nil {
		return "", fmt.Errorf("write the keyset: %w", err)
	}
	return base64.StdEncoding.EncodeToString(b.Bytes()), nil
}
