/**
 * The calling codes that the population lives under: their share of the users, and for each country the
 * leading digits of its mobile ranges. The digits after them are drawn; libphonenumber-js decides whether
 * what comes out is a number. Calling codes are prefix-free by the ITU's design (E.164), so the longest
 * match is unique; +1 and +7 are shared by two countries each.
 */

export interface NumberingPlan {
  /** ISO 3166 code. */
  readonly country: string;
  /** Leading digits of the national number, of mobile ranges. */
  readonly ranges: readonly string[];
  /** Digits of the national (significant) number. */
  readonly digits: number;
  /** Share among the countries of one calling code. */
  readonly weight: number;
}

export interface CallingCode {
  /** With its plus sign: what a failover's prefix is. */
  readonly prefix: string;
  /** Share of the users, relative to the other codes. */
  readonly weight: number;
  readonly plans: readonly NumberingPlan[];
}

function plan(country: string, digits: number, ranges: string, weight = 1): NumberingPlan {
  return { country, digits, ranges: ranges.split(" "), weight };
}

/** Shares follow the published estimates of messenger users by country, rounded. */
export const callingCodes: readonly CallingCode[] = [
  { prefix: "+91", weight: 22, plans: [plan("IN", 10, "70 73 77 81 83 88 90 94 96 98 99")] },
  {
    prefix: "+55",
    weight: 12,
    plans: [plan("BR", 11, "1197 1198 1199 2198 2199 3198 3199 4199 5199 7198 8199")],
  },
  {
    prefix: "+1",
    weight: 9,
    plans: [
      plan("US", 10, "201 206 212 213 305 312 404 415 512 617 646 702 713 718 773 917", 9),
      plan("CA", 10, "204 250 403 416 418 438 450 514 604 613 647 778", 1),
    ],
  },
  { prefix: "+62", weight: 9, plans: [plan("ID", 11, "812 813 821 822 852 853 857 878 896")] },
  {
    prefix: "+7",
    weight: 7,
    plans: [
      plan("RU", 10, "903 905 909 910 915 916 921 926 950 960 981 999", 6),
      plan("KZ", 10, "700 701 702 705 707 747 771 775 777 778", 1),
    ],
  },
  { prefix: "+52", weight: 6, plans: [plan("MX", 10, "55 33 81 222 442 664 998")] },
  {
    prefix: "+49",
    weight: 5,
    plans: [plan("DE", 11, "1511 1512 1515 1516 1517 1520 1522 1523 1525 1573 1575 1577")],
  },
  { prefix: "+90", weight: 4, plans: [plan("TR", 10, "501 505 530 532 535 541 542 544 551 555")] },
  { prefix: "+92", weight: 4, plans: [plan("PK", 10, "300 301 302 303 311 321 331 333 345")] },
  {
    prefix: "+44",
    weight: 3.5,
    plans: [plan("GB", 10, "7400 7415 7500 7700 7712 7720 7786 7801 7900 7912 7950")],
  },
  { prefix: "+39", weight: 3, plans: [plan("IT", 10, "320 328 329 331 333 335 338 339 340 347 348 349")] },
  { prefix: "+34", weight: 3, plans: [plan("ES", 9, "600 610 620 630 646 650 660 670 680 690")] },
  { prefix: "+20", weight: 3, plans: [plan("EG", 10, "100 101 106 109 111 112 114 115 120 122 127 128")] },
  {
    prefix: "+33",
    weight: 2.5,
    plans: [plan("FR", 9, "601 603 610 612 620 630 645 650 660 668 672 680 699")],
  },
  { prefix: "+54", weight: 2.5, plans: [plan("AR", 11, "9113 9114 9115 9116 93514 93515 93414 92614")] },
  { prefix: "+57", weight: 2.5, plans: [plan("CO", 10, "300 301 304 310 311 312 313 314 315 316 320 321")] },
  { prefix: "+234", weight: 2.5, plans: [plan("NG", 10, "802 803 805 806 808 810 813 816 703 706 708 903")] },
  { prefix: "+27", weight: 2, plans: [plan("ZA", 9, "60 61 71 72 73 74 76 78 79 82 83 84")] },
  { prefix: "+880", weight: 2, plans: [plan("BD", 10, "171 172 173 181 182 191 192 155 161")] },
  { prefix: "+60", weight: 2, plans: [plan("MY", 9, "12 13 16 17 19")] },
  { prefix: "+966", weight: 1.5, plans: [plan("SA", 9, "50 53 54 55 56 58 59")] },
  {
    prefix: "+31",
    weight: 1.5,
    plans: [plan("NL", 9, "610 611 612 613 614 615 620 621 622 623 624 625 650 651")],
  },
  { prefix: "+254", weight: 1, plans: [plan("KE", 9, "701 705 710 711 712 720 721 722 790 795")] },
  { prefix: "+971", weight: 1, plans: [plan("AE", 9, "50 52 54 55 56 58")] },
];
