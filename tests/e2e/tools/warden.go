// A token server (distribution's token specification) for whoever knows the password. It grants what a client asks to pull,
// with tokens by ES256 that are good for so many seconds, with the 60 that distribution adds for clocks that differ.
//
//	warden JWKS SERVICE USER PASSWORD SECONDS
//
// Writes its public key to the file JWKS, prints the address, then a line for each request: the status, the user and the scopes.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

const leeway = time.Minute

type object map[string]any

func main() {
	service, user, password := os.Args[2], os.Args[3], os.Args[4]
	seconds, err := strconv.Atoi(os.Args[5])
	if err != nil {
		log.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	public := object{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": service,
		"x": base64url(key.X.FillBytes(make([]byte, 32))), "y": base64url(key.Y.FillBytes(make([]byte, 32)))}
	if err := os.WriteFile(os.Args[1], encode(object{"keys": []object{public}}), 0o644); err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", listener.Addr())
	log.Fatal(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, given, _ := r.BasicAuth()
		query := r.URL.Query()
		status := http.StatusOK
		if name != user || given != password || query.Get("service") != service {
			status = http.StatusUnauthorized
		}
		fmt.Printf("%d %q %s\n", status, name, query["scope"])
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if status != http.StatusOK {
			_, _ = w.Write(encode(object{"details": "incorrect username or password"}))
			return
		}
		now := time.Now()
		token := sign(key, object{"alg": "ES256", "typ": "JWT", "kid": service}, object{
			"iss": service, "aud": service, "sub": user, "nbf": now.Add(-leeway).Unix(),
			"exp": now.Add(time.Duration(seconds)*time.Second - leeway).Unix(), "access": pulls(query["scope"]),
		})
		_, _ = w.Write(encode(object{"token": token, "expires_in": seconds}))
	})))
}

// pulls is what is granted of scopes like `repository:NAME:pull,push`.
func pulls(scopes []string) []object {
	granted := []object{}
	for _, scope := range scopes {
		kind, rest, _ := strings.Cut(scope, ":")
		if at := strings.LastIndex(rest, ":"); at > 0 && slices.Contains(strings.Split(rest[at+1:], ","), "pull") {
			granted = append(granted, object{"type": kind, "name": rest[:at], "actions": []string{"pull"}})
		}
	}
	return granted
}

// sign makes a JSON Web Token (RFC 7519); ES256 is r and s, 32 bytes each (RFC 7518 section 3.4).
func sign(key *ecdsa.PrivateKey, header, claims object) string {
	signed := base64url(encode(header)) + "." + base64url(encode(claims))
	hash := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, key, hash[:])
	if err != nil {
		log.Fatal(err)
	}
	return signed + "." + base64url(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

func encode(it object) []byte {
	bytes, err := json.Marshal(it)
	if err != nil {
		log.Fatal(err)
	}
	return bytes
}

func base64url(bytes []byte) string { return base64.RawURLEncoding.EncodeToString(bytes) }
