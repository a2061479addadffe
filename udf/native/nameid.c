/* SHA-256 as FIPS 180-4 has it, for the ids of named vertices: a callback learns the id of a child
 * that it adds without entering Go. Names are short, so the message is one to five blocks. */
#include <string.h>

#include "native.h"

/* The first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotate(uint32_t word, int by) { return word >> by | word << (32 - by); }

static uint32_t read_word(const unsigned char* bytes) {
  return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void add_block(uint32_t hash[8], const unsigned char block[64]) {
  uint32_t schedule[64];
  for (int i = 0; i < 16; i++) schedule[i] = read_word(block + 4 * i);
  for (int i = 16; i < 64; i++) {
    uint32_t near = schedule[i - 2], far = schedule[i - 15];
    schedule[i] = schedule[i - 16] + schedule[i - 7] +
                  (rotate(far, 7) ^ rotate(far, 18) ^ far >> 3) +
                  (rotate(near, 17) ^ rotate(near, 19) ^ near >> 10);
  }
  uint32_t s[8];
  memcpy(s, hash, sizeof s);
  for (int i = 0; i < 64; i++) {
    uint32_t e = s[4], a = s[0];
    uint32_t first = s[7] + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) +
                     ((e & s[5]) ^ (~e & s[6])) + round_constants[i] + schedule[i];
    uint32_t second =
        (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
    memmove(s + 1, s, 7 * sizeof s[0]);
    s[4] += first;
    s[0] = first + second;
  }
  for (int i = 0; i < 8; i++) hash[i] += s[i];
}

dcf_vertex_id dcf_native_name_id(const void* name, size_t size) {
  /* The first 32 bits of the fractional parts of the square roots of the first 8 primes. */
  uint32_t hash[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  unsigned char message[((DCF_NATIVE_MAX_NAME_BYTES + 9 + 63) / 64) * 64] = {0};
  size_t padded = (size + 9 + 63) / 64 * 64;
  memcpy(message, name, size);
  message[size] = 0x80;
  message[padded - 2] = (unsigned char)(size * 8 >> 8);
  message[padded - 1] = (unsigned char)(size * 8);
  for (size_t at = 0; at < padded; at += 64) add_block(hash, message + at);
  dcf_vertex_id id;
  for (int i = 0; i < 16; i++) id.bytes[i] = (uint8_t)(hash[i / 4] >> (24 - 8 * (i % 4)));
  id.bytes[0] |= 0x80;
  return id;
}
