package media

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"time"
)

// unfinished is the folder of what is being written. It is none of a key's.
const unfinished = ".unfinished"

// folder keeps files in a folder of this machine, or of one that all processes share.
type folder struct{ root *os.Root }

func folderOf(u *url.URL) (place, error) {
	if u.Host != "" || u.Path == "" || u.User != nil {
		return place{}, errors.New("a folder is written file:///var/lib/waggle/media, with three slashes")
	}
	if u.RawQuery != "" || u.ForceQuery {
		return place{}, errors.New("a folder has no settings; a question mark in its name is written %3F")
	}
	return place{folder: u.Path}, nil
}

func openFolder(name string) (blobs, error) {
	if err := os.MkdirAll(name, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder for files: %w", err)
	}
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, fmt.Errorf("open the folder for files: %w", err)
	}
	return &folder{root}, nil
}

// put writes elsewhere and moves the file to its place when it is whole and on the disk.
func (f *folder) put(_ context.Context, key string, r io.Reader, _ int64, _ string) (err error) {
	if err := errors.Join(f.root.MkdirAll(path.Dir(key), 0o700), f.root.MkdirAll(unfinished, 0o700)); err != nil {
		return err
	}
	part := path.Join(unfinished, rand.Text())
	w, err := f.root.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.root.Remove(part)
		}
	}()
	_, err = io.Copy(w, r)
	if err = errors.Join(err, w.Sync(), w.Close()); err != nil {
		return err
	}
	return f.root.Rename(part, key)
}

func (f *folder) open(_ context.Context, key string, from int64) (io.ReadCloser, error) {
	file, err := f.root.Open(key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	if _, err := file.Seek(from, io.SeekStart); err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

func (f *folder) remove(_ context.Context, key string) error {
	if err := f.root.Remove(key); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// tidy removes what nobody has written to since: whoever did has died.
func (f *folder) tidy(since time.Time) error {
	parts, err := fs.ReadDir(f.root.FS(), unfinished)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, part := range parts {
		info, gone := part.Info()
		if gone == nil && info.ModTime().Before(since) {
			err = errors.Join(err, f.remove(context.Background(), path.Join(unfinished, part.Name())))
		}
	}
	return err
}
