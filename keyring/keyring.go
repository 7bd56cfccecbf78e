// Package keyring encrypts what Waggle must be able to send to others: bot tokens, CRM passwords. It is a keyset of Tink's
// AEAD: what is sealed says which key it needs, so that new secrets are sealed with the primary key while the old keys
// still open what they sealed.
//
// A keyset is text: Tink's JSON form, in clear or in base64. Whoever has it can open everything, so it lives where the
// operator keeps secrets: a file with mode 0600, a flag's environment variable.
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

// LoadOrCreate reads the keyset from a file, or makes a new one there that only the file's owner may read. For the embedded mode:
// where the database is a file, its keyset lies beside it.
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

// RotateFile is Rotate for the keyset of a file, which only its owner may read afterwards.
func RotateFile(path string) (inUse bool, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return false, fmt.Errorf("read the keyset: %w", err)
	}
	rotated, inUse, err := Rotate(string(text))
	if err != nil {
		return false, fmt.Errorf("rotate the keyset %s: %w", path, err)
	}
	if err := writeWhole(path, rotated, os.Rename); err != nil {
		return false, fmt.Errorf("write the keyset %s: %w", path, err)
	}
	return inUse, nil
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

// Rotate changes the key that seals in two steps, so that no process meets what it cannot open: the first adds a new key that
// only opens, the next one makes it the primary key. Between them every process must have got the keyset. It returns the keyset
// in base64 and whether its newest key is in use. What was sealed before still opens.
func Rotate(text string) (rotated string, inUse bool, err error) {
	h, err := read(text)
	if err != nil {
		return "", false, err
	}
	m, info := keyset.NewManagerFromHandle(h), h.KeysetInfo()
	newest := info.GetKeyInfo()[len(info.GetKeyInfo())-1].GetKeyId()
	if newest == info.GetPrimaryKeyId() {
		_, err = m.Add(aead.AES256GCMKeyTemplate())
	} else {
		inUse, err = true, m.SetPrimary(newest)
	}
	if err != nil {
		return "", false, fmt.Errorf("rotate the keyset: %w", err)
	}
	if h, err = m.Handle(); err != nil {
		return "", false, fmt.Errorf("rotate the keyset: %w", err)
	}
	rotated, err = write(h)
	return rotated, inUse, err
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
