import { expect, test } from "vitest";
import { providerProblem, toProvider, withoutProblem } from "./provider-sign-in";

test("one comes back to where one was, without what went wrong", () => {
  const here = { pathname: "/rooms", search: "?q=a%20b&signInError=not_let_in" };
  expect(withoutProblem(here)).toBe("/rooms?q=a+b");
  expect(withoutProblem({ pathname: "/", search: "?signInError=x" })).toBe("/");
  expect(withoutProblem({ pathname: "/rooms", search: "?q=a%20b" })).toBe("/rooms?q=a%20b");
  expect(toProvider(here)).toBe("/api/v1/auth/oidc?return=%2Frooms%3Fq%3Da%2Bb");
});

test("every problem has words of its own, and one that is not known has some", () => {
  const codes = [
    "provider_unreachable",
    "provider_busy",
    "provider_stale",
    "provider_denied",
    "provider_refused",
    "email_unverified",
    "not_let_in",
    "too_many_tries",
    "<b>",
  ];
  const texts = codes.map((code) => providerProblem(code, "Example ID"));
  expect(new Set(texts).size).toBe(codes.length);
  expect(texts.join()).not.toContain("<b>");
});
