// The other end of the serial line of a simulated FPGA board, bit by bit.
//
// Arguments: clocks a bit; clocks that the board may take before it answers. Standard input: again and again, a
// count (32 bits, of this machine's byte order) and as many bytes, which go to the board one right after the other.
// Standard output: when the board has been silent for long enough, a count and the bytes that it has sent meanwhile.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "Vharness.h"
#include "verilated.h"

double sc_time_stamp() { return 0; }

namespace {

class Board {
 public:
  explicit Board(unsigned divisor) : divisor_(divisor) { top_.rx = 1; }

  // Holds the line at a level for some clocks, and listens meanwhile.
  void hold(bool level, uint64_t clocks) {
    top_.rx = level;
    for (uint64_t i = 0; i < clocks; i++) {
      top_.clk = 0;
      top_.eval();
      top_.clk = 1;
      top_.eval();
      listen();
    }
  }

  void send(uint8_t byte) {
    hold(false, divisor_);
    for (int i = 0; i < 8; i++) hold(byte >> i & 1, divisor_);
    silence_ = -1;  // an answer may begin with the stop bit
    hold(true, divisor_);
  }

  // Waits for the end of an answer, or until none can come any more.
  void wait(uint64_t patience) {
    const int64_t pause = 30 * int64_t(divisor_);
    for (uint64_t i = 0; silence_ < 0 ? i < patience : silence_ < pause; i++) hold(true, 1);
    while (bit_ >= 0) hold(true, 1);
  }

  std::vector<uint8_t> take() {
    std::vector<uint8_t> bytes;
    bytes.swap(received_);
    return bytes;
  }

 private:
  // Looks at the middle of each bit; bit_ is -1 between bytes, 0 in the start bit, 9 in the stop bit.
  void listen() {
    const bool level = top_.tx;
    if (silence_ >= 0) silence_++;
    if (bit_ < 0) {
      if (level) return;
      bit_ = 0;
      count_ = divisor_ / 2;
    }
    silence_ = 0;
    if (count_-- > 0) return;
    count_ = divisor_ - 1;
    if (bit_ == 0 && level) {
      std::fprintf(stderr, "error: a start bit is too short\n");
      std::exit(1);
    }
    if (bit_ > 0 && bit_ < 9) byte_ = uint8_t(byte_ >> 1 | (level ? 0x80 : 0));
    if (bit_ == 9 && !level) {
      std::fprintf(stderr, "error: a stop bit is low\n");
      std::exit(1);
    }
    if (bit_ == 9) {
      received_.push_back(byte_);
      bit_ = -1;
    } else {
      bit_++;
    }
  }

  Vharness top_;
  unsigned divisor_;
  int bit_ = -1;
  unsigned count_ = 0;
  uint8_t byte_ = 0;
  int64_t silence_ = -1;  // clocks since the board last sent; -1: it has not, since the last byte that it got
  std::vector<uint8_t> received_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  Board board(unsigned(std::strtoul(argv[1], nullptr, 10)));
  const uint64_t patience = std::strtoull(argv[2], nullptr, 10);
  board.hold(true, 100);  // until what a start with unknown registers leaves on the line is over
  board.wait(1000);
  board.take();
  uint32_t count;
  while (std::fread(&count, sizeof count, 1, stdin) == 1) {
    std::vector<uint8_t> bytes(count);
    if (std::fread(bytes.data(), 1, count, stdin) != count) return 2;
    for (uint8_t byte : bytes) board.send(byte);
    board.wait(patience);
    bytes = board.take();
    count = uint32_t(bytes.size());
    std::fwrite(&count, sizeof count, 1, stdout);
    std::fwrite(bytes.data(), 1, bytes.size(), stdout);
    std::fflush(stdout);
  }
  return 0;
}
