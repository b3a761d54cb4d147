// One pass, no recursion, bounded by the length of the query.
#include "resource/resource_graph_lexer.h"

#include <array>

#include "base/text.h"

namespace merlon::resource {
namespace {

constexpr size_t kQueryMax = 32 * 1024;
constexpr size_t kTokensMax = 8192;

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  Result<std::vector<GraphToken>> run() {
    std::vector<GraphToken> tokens;
    if (text_.size() > kQueryMax)
      return bad_graph_query("QueryTooLong", {}, "The query is longer than 32768 characters.");
    for (;;) {
      skip_space_and_comments();
      GraphToken token;
      token.line = line_;
      token.column = at_ - line_start_ + 1;
      if (at_ == text_.size()) {
        tokens.push_back(std::move(token));
        return tokens;
      }
      if (tokens.size() == kTokensMax)
        return bad_graph_query("QueryTooLong", token, "The query has more than 8192 words.");
      TRY(read(token));
      tokens.push_back(std::move(token));
    }
  }

 private:
  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }

  void skip_space_and_comments() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '\n') {
        ++line_;
        line_start_ = at_ + 1;
      } else if (c == '/' && peek(1) == '/') {
        while (at_ + 1 < text_.size() && text_[at_ + 1] != '\n') ++at_;
      } else if (c != ' ' && c != '\t' && c != '\r') {
        return;
      }
      ++at_;
    }
  }

  Result<void> read(GraphToken& token) {
    const char c = peek();
    if (is_letter(c)) return read_word(token);
    if (c == '!' && is_letter(peek(1))) {
      ++at_;
      TRY(read_word(token));
      token.text.insert(0, "!");
      return {};
    }
    if (is_digit(c) || (c == '-' && is_digit(peek(1)))) return read_number(token);
    if (c == '\'' || c == '"') return read_string(token, false);
    if (c == '@' && (peek(1) == '\'' || peek(1) == '"')) {
      ++at_;
      return read_string(token, true);
    }
    return read_symbol(token);
  }

  Result<void> read_word(GraphToken& token) {
    token.kind = GraphToken::Kind::word;
    const size_t start = at_;
    // There is no subtraction, so a dash before a letter is part of a name: project-away, mv-expand.
    while (is_letter(peek()) || is_digit(peek()) || (peek() == '-' && is_letter(peek(1)))) ++at_;
    if (peek() == '~' && ascii_iequal(text_.substr(start, at_ - start), "in")) ++at_;
    token.text = text_.substr(start, at_ - start);
    return {};
  }

  Result<void> read_number(GraphToken& token) {
    token.kind = GraphToken::Kind::number;
    const size_t start = at_++;
    while (is_digit(peek()) || (peek() == '.' && is_digit(peek(1)))) ++at_;
    if (is_letter(peek()))
      return bad_graph_query("UnsupportedFeature", token,
                             "Numbers with a unit, such as '1d', are not supported.");
    token.text = text_.substr(start, at_ - start);
    return {};
  }

  Result<void> read_string(GraphToken& token, bool verbatim) {
    token.kind = GraphToken::Kind::text;
    const char quote = text_[at_];
    for (++at_; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '\n') break;
      if (c == quote) {
        ++at_;
        if (!verbatim || peek() != quote) return {};
        token.text += quote;  // @'it''s'
      } else if (c == '\\' && !verbatim) {
        ++at_;
        const char next = peek();
        if (next == '\0') break;
        token.text += next == 'n' ? '\n' : next == 't' ? '\t' : next == 'r' ? '\r' : next;
      } else {
        token.text += c;
      }
    }
    return bad_graph_query("ParserFailure", token, "The string that begins here has no end.");
  }

  Result<void> read_symbol(GraphToken& token) {
    token.kind = GraphToken::Kind::symbol;
    static constexpr std::array<std::string_view, 17> kSymbols{
        "==", "!=", "=~", "!~", "<=", ">=", "|", "(", ")", "[", "]", ",", ".", "<", ">", "=", "*"};
    for (const std::string_view symbol : kSymbols) {
      if (!text_.substr(at_).starts_with(symbol)) continue;
      token.text = symbol;
      at_ += symbol.size();
      return {};
    }
    return bad_graph_query("UnsupportedFeature", token,
                           "The character '" + std::string(1, text_[at_]) + "' is not supported.");
  }

  std::string_view text_;
  size_t at_ = 0, line_ = 1, line_start_ = 0;
};

}  // namespace

Result<std::vector<GraphToken>> read_graph_tokens(std::string_view text) { return Lexer(text).run(); }

std::unexpected<Error> bad_graph_query(std::string_view code, const GraphToken& at, std::string_view what) {
  Error error;
  error.kind = ErrorKind::invalid;
  error.code = "BadRequest";
  const std::string where = "line " + std::to_string(at.line) + ", character " + std::to_string(at.column);
  error.message = "The query is invalid at " + where + ": " + std::string(what);
  error.target = "query";
  error.details.push_back({"InvalidQuery", "Query is invalid. Please correct it and try again.", "query"});
  error.details.push_back({std::string(code), std::string(what), where});
  return std::unexpected(std::move(error));
}

}  // namespace merlon::resource
