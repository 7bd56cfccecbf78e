package keyring

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func fresh(t *testing.T) (text string, ring *Ring) {
	t.Helper()
	text, err := New()
	require.NoError(t, err)
	ring, err = Parse(text)
	require.NoError(t, err)
	return text, ring
}

func TestSealedOpensOnlyForItsRow(t *testing.T) {
	_, ring := fresh(t)
	sealed, err := ring.Seal([]byte("bot token"), "channel 1")
	require.NoError(t, err)
	require.NotContains(t, string(sealed), "bot token")

	plain, err := ring.Open(sealed, "channel 1")
	require.NoError(t, err)
	require.Equal(t, "bot token", string(plain))

	_, err = ring.Open(sealed, "channel 2")
	require.ErrorIs(t, err, ErrOpen)

	sealed[len(sealed)-1] ^= 1
	_, err = ring.Open(sealed, "channel 1")
	require.ErrorIs(t, err, ErrOpen)
}

func TestAnotherKeysetOpensNothing(t *testing.T) {
	_, one := fresh(t)
	_, two := fresh(t)
	sealed, err := one.Seal([]byte("x"), "row")
	require.NoError(t, err)
	_, err = two.Open(sealed, "row")
	require.ErrorIs(t, err, ErrOpen)
}

func TestRotatedKeysetOpensOldAndSealsNew(t *testing.T) {
	text, old := fresh(t)
	sealedOld, err := old.Seal([]byte("before"), "row")
	require.NoError(t, err)

	added, step, err := Rotate(text)
	require.NoError(t, err)
	require.Equal(t, Added, step)
	between, err := Parse(added)
	require.NoError(t, err)
	sealedBetween, err := between.Seal([]byte("between"), "row")
	require.NoError(t, err)
	_, err = old.Open(sealedBetween, "row")
	require.NoError(t, err, "a process with the old keyset opens what one with the new one sealed")

	rotated, step, err := Rotate(added)
	require.NoError(t, err)
	require.Equal(t, InUse, step)
	now, err := Parse(rotated)
	require.NoError(t, err)

	plain, err := now.Open(sealedOld, "row")
	require.NoError(t, err)
	require.Equal(t, "before", string(plain))

	sealedNew, err := now.Seal([]byte("after"), "row")
	require.NoError(t, err)
	_, err = old.Open(sealedNew, "row")
	require.ErrorIs(t, err, ErrOpen, "the new key seals")
	_, err = between.Open(sealedNew, "row")
	require.NoError(t, err, "and a process that has not got the second step opens it")

	retired, step, err := Rotate(rotated)
	require.NoError(t, err)
	require.Equal(t, Retired, step)
	left, err := Parse(retired)
	require.NoError(t, err)
	_, err = left.Open(sealedNew, "row")
	require.NoError(t, err)
	_, err = left.Open(sealedOld, "row")
	require.ErrorIs(t, err, ErrOpen, "the old key is gone")
	_, step, err = Rotate(retired)
	require.NoError(t, err)
	require.Equal(t, Added, step, "and it begins again")
}

func TestRotatedFileStaysWholeAndPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "waggle.keyset")
	old, err := LoadOrCreate(path)
	require.NoError(t, err)
	sealed, err := old.Seal([]byte("x"), "row")
	require.NoError(t, err)
	reseals := 0
	reseal := func(left *Ring) (err error) {
		plain, err := old.Open(sealed, "row")
		require.NoError(t, err)
		reseals++
		sealed, err = left.Seal(plain, "row")
		return err
	}
	for _, want := range []Step{Added, InUse, Retired, Added} {
		step, err := RotateFile(path, reseal)
		require.NoError(t, err)
		require.Equal(t, want, step)
	}
	require.Equal(t, 1, reseals)
	now, err := Load(path)
	require.NoError(t, err)
	_, err = now.Open(sealed, "row")
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	left, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, left, 1, "nothing else stays behind")

	require.NoError(t, os.WriteFile(path, []byte("half a key"), 0o600))
	_, err = RotateFile(path, nil)
	require.ErrorIs(t, err, ErrKeyset)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "half a key", string(text), "what is no keyset is left alone")
}

// What could not be sealed anew still needs the old keys.
func TestOldKeysStayWhereResealingFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "waggle.keyset")
	old, err := LoadOrCreate(path)
	require.NoError(t, err)
	sealed, err := old.Seal([]byte("x"), "row")
	require.NoError(t, err)
	fails := func(*Ring) error { return errors.New("the database is away") }
	for range 2 {
		_, err = RotateFile(path, fails)
		require.NoError(t, err)
	}
	_, err = RotateFile(path, fails)
	require.ErrorContains(t, err, "the database is away")
	now, err := Load(path)
	require.NoError(t, err)
	_, err = now.Open(sealed, "row")
	require.NoError(t, err)
}

// Whatever a keyset's text is, it is read or refused, and what is read seals and opens.
func FuzzParse(f *testing.F) {
	text, err := New()
	require.NoError(f, err)
	clear, err := base64.StdEncoding.DecodeString(text)
	require.NoError(f, err)
	for _, seed := range []string{text, string(clear), "", "{}", `{"primaryKeyId":1,"key":[{}]}`, `{"primaryKeyId":-1,"key":null}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ring, err := Parse(text)
		if err != nil {
			require.ErrorIs(t, err, ErrKeyset)
			return
		}
		sealed, err := ring.Seal([]byte("x"), "row")
		require.NoError(t, err)
		plain, err := ring.Open(sealed, "row")
		require.NoError(t, err)
		require.Equal(t, "x", string(plain))
		_, _, err = Rotate(text)
		require.NoError(t, err)
	})
}

func TestParseTakesJSONAndBase64(t *testing.T) {
	text, ring := fresh(t)
	clear, err := base64.StdEncoding.DecodeString(text)
	require.NoError(t, err)
	same, err := Parse("\n" + string(clear) + "\n")
	require.NoError(t, err)
	sealed, err := ring.Seal([]byte("x"), "row")
	require.NoError(t, err)
	_, err = same.Open(sealed, "row")
	require.NoError(t, err)
}

func TestParseRefusesWhatIsNoKeyset(t *testing.T) {
	for _, text := range []string{"", "secret words", "{}", `{"primaryKeyId":1,"key":[]}`, base64.StdEncoding.EncodeToString([]byte("{")), "bm8="} {
		_, err := Parse(text)
		require.ErrorIs(t, err, ErrKeyset, text)
		require.NotContains(t, err.Error(), "secret words")
	}
}

func TestLoadOrCreateKeepsTheFirst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "waggle.keyset")
	one, err := LoadOrCreate(path)
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	sealed, err := one.Seal([]byte("x"), "row")
	require.NoError(t, err)
	two, err := LoadOrCreate(path)
	require.NoError(t, err)
	_, err = two.Open(sealed, "row")
	require.NoError(t, err)

	left, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, left, 1, "nothing else stays behind")
}

func TestLoadOrCreateAtOnceMakesOneKeyset(t *testing.T) {
	path := filepath.Join(t.TempDir(), "waggle.keyset")
	rings := make([]*Ring, 8)
	var wg sync.WaitGroup
	for i := range rings {
		wg.Go(func() { rings[i], _ = LoadOrCreate(path) })
	}
	wg.Wait()
	require.NotNil(t, rings[0])
	sealed, err := rings[0].Seal([]byte("x"), "row")
	require.NoError(t, err)
	for _, r := range rings {
		require.NotNil(t, r)
		_, err := r.Open(sealed, "row")
		require.NoError(t, err)
	}
}

func TestLoadDoesNotHideABrokenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "waggle.keyset")
	require.NoError(t, os.WriteFile(path, []byte("half a key"), 0o600))
	_, err := LoadOrCreate(path)
	require.ErrorIs(t, err, ErrKeyset)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "half a key", string(text), "never overwritten")

	_, err = Load(path + "-missing")
	require.ErrorIs(t, err, os.ErrNotExist)
}
