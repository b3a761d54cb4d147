// How long a search of very many recordings takes until its first hit, wherever that lies: the room's own
// code over recordings that it has written, without server and HTTP. With nothing of them in memory (cold),
// and again (warm). usage: bench_search DIRECTORY MEGABYTES ROUNDS <LINES     lines of what people's
// terminals show, on standard input DIRECTORY must not exist; it is made, and is the caller's to remove.
// Prints a table.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <random>

#include <fmt/format.h>

#include "crypto/system_random.h"
#include "recording/recordings.h"
#include "recording/search.h"

namespace merlon::recording {
namespace {

constexpr size_t kMegabytesEach = 50;
constexpr size_t kOutputBytes = 4096;  // at once, as a program writes

template <class T>
T must(Result<T> result) {
  if (!result) {
    std::cerr << result.error().message << " " << result.error().cause << "\n";
    std::exit(1);
  }
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

class World {
 public:
  explicit World(const std::filesystem::path& directory) : directory_(directory) {
    std::filesystem::create_directory(directory);
    std::filesystem::permissions(directory, std::filesystem::perms::owner_all);
    std::vector<store::TableSpec> all_tables = seal::tables();
    for (const auto* more : {&ledger::tables(), &tables()})
      all_tables.insert(all_tables.end(), more->begin(), more->end());
    store_ = must(store::open_sqlite(directory.string(), {.tables = all_tables, .migrations = {}}));
    seal_ = must(seal::Seal::open(*store_, (directory / "root.key").string(), random_));
    ledger_ = must(ledger::Ledger::open(*store_, *seal_, clock_, random_, tenant_));
    auto blobs = must(store::open_blob_directory((directory / "blobs").string(), "here"));
    all_ =
        std::make_unique<Recordings>(*store_, *seal_, *ledger_, std::move(blobs), clock_, random_, tenant_);
  }

  // From a seed: lines in some order, `first` before and `last` after them.
  void record(const std::vector<std::string>& lines, unsigned seed) {
    Opening opening;
    opening.session = std::to_string(seed);
    opening.scope = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Network/bastionHosts/b";
    opening.machine = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/web-1";
    opening.kind = "shell";
    opening.login = "admin";
    opening.person = {"User", "8f0e6b0e-0000-4000-8000-000000000001", "anna@contoso.example", "192.0.2.7"};
    auto recorder = must(all_->start(opening));
    std::mt19937 engine(seed);
    std::uniform_int_distribution<size_t> any(0, lines.size() - 1);
    must(recorder->output(fmt::format("first{}quux\r\n", seed)));
    for (size_t written = 0; written < kMegabytesEach * 1'000'000;) {
      std::string text;
      while (text.size() < kOutputBytes) text += lines[any(engine)];
      must(recorder->output(text));
      written += text.size();
      if (written % (8U << 20U) < text.size()) must(recorder->flush());
    }
    must(recorder->output(fmt::format("last{}quux\r\n", seed)));
    must(recorder->close("done"));
  }

  void forget() const {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_ / "blobs")) {
      if (!entry.is_regular_file()) continue;
      const int file = ::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC);
      ::fdatasync(file);
      ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
      ::close(file);
    }
  }

  struct Found {
    double seconds = 0;
    size_t hits = 0, opened = 0, segments = 0;
  };
  Found find(const std::string& word) {
    Query query;
    query.text = word;
    query.hits_max = 1;
    query.may_see = [](const Record&) -> Result<bool> { return true; };
    const auto begun = std::chrono::steady_clock::now();
    Found found;
    do {
      const SearchAnswer answer = must(search(*all_, query));
      found.hits += answer.hits.size();
      found.opened += answer.opened;
      found.segments += answer.segments;
      query.after = answer.next;
    } while (found.hits == 0 && !query.after.empty());
    found.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
    return found;
  }

  uintmax_t bytes(std::string_view folder_part) const {
    uintmax_t sum = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_ / "blobs"))
      if (entry.is_regular_file() && entry.path().string().find(folder_part) != std::string::npos)
        sum += entry.file_size();
    return sum;
  }

 private:
  const std::filesystem::path directory_;
  SystemClock clock_;
  crypto::SystemRandom random_;
  const TenantId tenant_{*Uuid::parse("11111111-1111-4111-8111-111111111111")};
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<seal::Seal> seal_;
  std::unique_ptr<ledger::Ledger> ledger_;
  std::unique_ptr<Recordings> all_;
};

World::Found median(World& world, const std::string& word, bool cold, int rounds) {
  std::vector<World::Found> all;
  for (int round = 0; round < rounds; ++round) {
    if (cold) world.forget();
    all.push_back(world.find(word));
  }
  std::ranges::sort(all, {}, &World::Found::seconds);
  return all[all.size() / 2];
}

void show(World& world, std::string_view where, const std::string& word, int rounds) {
  const auto cold = median(world, word, true, rounds), warm = median(world, word, false, rounds);
  fmt::print("| {} | {:.2f} | {:.2f} | {} | {} of {} |\n", where, cold.seconds, warm.seconds, warm.hits,
             warm.opened, warm.segments);
  std::fflush(stdout);
}

void show_all(World& world, unsigned count, int rounds) {
  fmt::print(
      "| first hit | cold, s | warm, s | hits | stretches opened |\n| --- | ---: | ---: | ---: | ---: |\n");
  show(world, "at the end of the newest", fmt::format("last{}quux", count - 1), rounds);
  show(world, "in the middle", fmt::format("first{}quux", count / 2), rounds);
  show(world, "at the beginning of the oldest", "first0quux", rounds);
  show(world, "nowhere, until that is known", "nowherequux", rounds);
}

int run(const std::string& directory, size_t megabytes, int rounds) {
  std::vector<std::string> lines;
  for (std::string line; std::getline(std::cin, line);)
    if (line.size() > 3) lines.push_back(line + "\r\n");
  World world(directory);
  const unsigned count = static_cast<unsigned>(std::max<size_t>(1, megabytes / kMegabytesEach));
  for (unsigned seed = 0; seed < count; ++seed) {
    world.record(lines, seed);
    if (seed % 20 == 19) fmt::print(stderr, "{} of {} recordings\n", seed + 1, count);
  }
  fmt::print("\n{} recordings, {} MB with their indexes\n\n", count, world.bytes("") / 1'000'000);
  show_all(world, count, rounds);
  fmt::print("\nthe same without the groups above the indexes, as recordings of before are\n\n");
  std::filesystem::remove_all(std::filesystem::path(directory) / "blobs/recording-groups");
  show_all(world, count, rounds);
  return 0;
}

}  // namespace
}  // namespace merlon::recording

int main(int argc, char** argv) {
  if (argc == 4) return merlon::recording::run(argv[1], std::stoul(argv[2]), std::stoi(argv[3]));
  std::cerr << "usage: bench_search DIRECTORY MEGABYTES ROUNDS <LINES\n";
  return 2;
}
