"""Sentences and names of the world as they stand in files, and the encodings in which old programs write them."""

from collections.abc import Iterator
from typing import Final, NamedTuple

TEXTS: Final[dict[str, tuple[str, ...]]] = {
    "English": (
        "It’s the café’s naïve résumé", "“Quoted” text – and a dash…", "Price: £5 each", "Zoë’s façade, coming soon™", "They’re 20 °C and ½ full",
        "Don’t use the “old” form", "Brontë’s novel © 1847", "A jalapeño costs 3 €", "Touché, he said", "Chloë isn’t here",
    ),
    "Spanish": (
        "Iñaki Muñoz, Málaga", "Ángel Núñez pidió café y té", "La señora Ibáñez vive en León", "¿Cuándo llegará el camión?", "Envío rápido: mañana, sólo 5 €",
        "José María García Peña", "El niño comió piña", "Dirección: calle Alcalá nº 12", "Pagó según el año pasado", "Ramón Güell, cigüeña",
    ),
    "French": (
        "Hélène Lefèvre à Orléans", "René a reçu la commande n° 12", "François, élève très doué", "Où êtes-vous allés cet été ?", "Élodie déjà vu",
        "Le garçon mangea une pâte brisée", "Noël à Besançon, côté forêt", "L’œuvre complète, 12 €", "Théâtre de l'Île", "Crème brûlée et gâteau",
    ),
    "German": (
        "Müller, Jörg", "Straße der Einheit 5, Köln", "Grüße aus München", "Die Bäckerei öffnet um acht", "Fußgänger überqueren die Brücke",
        "Größe: für Männer", "Österreich und Übersee", "Käthe Schröder wäscht Äpfel", "Günther Weiß", "Preis: 5 € „netto“",
    ),
    "Portuguese": (
        "João da Conceição", "São Paulo, endereço não informado", "A estação fica à direita", "Informações sobre a região", "Antônio e Luísa são irmãos",
        "Não há vagas amanhã", "Promoção de verão: preço único", "Três pães e maçã", "Avó e avô em Évora", "Relatório de operações",
    ),
    "Italian": (
        "Nicolò è già a Forlì", "Perché non c'è più caffè?", "La città è bella", "Lunedì, martedì e giovedì", "Università di Cefalù",
        "Libertà e verità", "Però l'età conta", "Quantità: metà", "Il papà di Mosè", "Virtù e povertà",
    ),
    "Swedish": (
        "Åsa Öberg, Malmö", "Jag går på gatan i Göteborg", "Räksmörgås på älvön", "Björn Sjögren", "Hälsningar från Västerås",
        "Kött och öl åt alla", "Här är några ägg", "Märta Åkesson", "Förväntad försäljning", "Linköping, Östergötland",
    ),
    "Danish": (
        "Søren Ærø, Ålborg", "Rødgrød med fløde", "Jørgen Nygård på øen", "Hvad er prisen på æbler?", "Går du så på café?",
        "Sjælland og København", "Bjørn Løkke", "Måneskin over åen", "Værelse til år 2024", "Bestil før tirsdag",
    ),
    "Finnish": (
        "Väinö Mäkelä, Jyväskylä", "Hyvää päivää ystävä", "Tämä on hyvä tölkki", "Älä syö sitä", "Pöytä löytyi Räisälästä",
        "Käyttäjä ei näy", "Sähköä päällä", "Jäätelö ja kylmä öljy", "Töölö, Helsinki", "Yhä enemmän vähän väliä",
    ),
    "Polish": (
        "Łukasz Wąsik, Kraków", "Zażółć gęślą jaźń", "Książka leży na półce", "Małgorzata Święcicka", "Gdańsk i Łódź są piękne",
        "Proszę o szybką odpowiedź", "Część druga: żółte liście", "Paweł Błażejewski", "Wysyłka w ciągu pięciu dni", "Źródło: Główny Urząd",
    ),
    "Czech": (
        "Příliš žluťoučký kůň", "Jiří Dvořák, Plzeň", "Děkuji za vaši objednávku", "Tomáš Černý a Šárka", "Město České Budějovice",
        "Úřad práce v Ústí", "Není možné doručit zboží", "Řehoř Němec", "Větší množství věcí", "Čtvrtek večer, půl osmé",
    ),
    "Hungarian": (
        "Győr és Székesfehérvár", "Árvíztűrő tükörfúrógép", "Kovács Jánosné Erzsébet", "Köszönöm szépen a gyors választ", "Őszi vásár: minden olcsóbb",
        "Szűcs Gábor, Pécs", "A hűtő új és működik", "Tóth László művész", "Öt perc múlva ébresztő", "Nem tudom, miért késik",
    ),
    "Romanian": (
        "Mihăiţă Ştefănescu", "Bună ziua, vă mulţumesc", "România şi Bucureşti", "Câte zile până sâmbătă?", "Însă fără îndoială",
        "Piaţa Unirii în Iaşi", "Preţul este mic şi bun", "Ţara noastră", "Gheorghe Bălan, Braşov", "Vânzări în această lună",
    ),
    "Croatian": (
        "Željko Đurić, Šibenik", "Ćevapčići i čaj", "Međunarodna zračna luka", "Božić dolazi sljedeći tjedan", "Kuća na kraju ulice Račić",
        "Marko Petrović živi ovdje", "Cijena uključuje poštarinu", "Također želimo više", "Žuti cvijet, đak, ćup", "Školska godina počinje",
    ),
    "Turkish": (
        "İstanbul'da güneşli bir gün", "Ayşe Yılmaz, İzmir", "Çiğdem ve Oğuz geldiler", "Şişli'de kaçıncı kat?", "Türkiye'nin başkenti Ankara",
        "Müşteri adı: Ümit Çağlar", "Teşekkür ederim, görüşürüz", "Işık söndü", "Doğum günün kutlu olsun", "Güzel bir çiçek",
    ),
    "Lithuanian": (
        "Šiaulių ežeras", "Žydrūnas Ąžuolas", "Ačiū už užsakymą", "Vilniaus Gedimino gatvė, Lietuvą", "Kęstutis ir Eglė",
        "Įmonė įsikūrė Kaune", "Mėlynųjų upių kraštas", "Būsiu rytoj po pietų", "Žąsis ir ančiukas", "Šeši šimtai litų",
    ),
    "Russian": (
        "Иван Петров, Москва", "Съешь ещё этих мягких булок", "Заказ доставлен вчера", "Улица Ленина, дом 5", "Спасибо за покупку",
        "Екатерина Смирнова", "Новый год в Санкт-Петербурге", "Цена указана без скидки", "Объём продаж вырос", "Юрий любит чай",
    ),
    "Ukrainian": (
        "Їжак і ґава, Київ", "Олексій Шевченко", "Дякую за замовлення", "Вулиця Хрещатик, п'ять", "Його ім'я Євген",
        "Львів та Харків", "Місто на річці Дніпро", "Ціна вказана без знижки", "Щоденний звіт", "Українська мова",
    ),
    "Bulgarian": (
        "Иван Георгиев, София", "Благодаря за поръчката", "Къде е гарата?", "Пловдив и Варна", "Цената е без отстъпка",
        "Щастлива Нова година", "Ябълки и круши", "Този месец продажбите растат", "Улица Шипка", "Мария Димитрова",
    ),
    "Greek": (
        "Γιώργος Παπαδόπουλος", "Αθήνα, Ελλάδα", "Ευχαριστώ πολύ για την παραγγελία", "Η τιμή είναι χωρίς έκπτωση", "Οδός Ερμού 12",
        "Καλημέρα σας", "Θεσσαλονίκη και Πάτρα", "Ψάρι και ψωμί", "Ο Άγγελος έφυγε χθες", "Νέο έτος",
    ),
    "Hebrew": (
        "שלום עולם", "תל אביב וירושלים", "תודה על ההזמנה", "רחוב הרצל חמש", "המחיר כולל משלוח",
        "דוד כהן", "שרה לוי", "יום שישי בבוקר", "החשבון נסגר אתמול", "אין מלאי כרגע",
    ),
    "Arabic": (
        "محمد أحمد، القاهرة", "شكرا على طلبك", "السعر شامل الشحن", "شارع النيل", "فاطمة الزهراء",
        "المملكة العربية السعودية", "يوم الجمعة صباحا", "لا يوجد مخزون", "الكمية المطلوبة", "تم إغلاق الحساب",
    ),
    "Thai": (
        "กรุงเทพมหานคร", "ขอบคุณสำหรับคำสั่งซื้อ", "ราคารวมค่าจัดส่ง", "สมชาย ใจดี", "ถนนสุขุมวิท",
        "สวัสดีครับ", "วันศุกร์ตอนเช้า", "ไม่มีสินค้า", "เชียงใหม่และภูเก็ต", "บัญชีถูกปิดเมื่อวาน",
    ),
    "Japanese": (
        "田中太郎、東京都", "ご注文ありがとうございます", "価格は送料込みです", "大阪市北区", "鈴木花子さん",
        "金曜日の朝に届きます", "在庫がありません", "カタカナとひらがな", "昨日口座を閉じました", "新しい年",
    ),
    "Chinese": (
        "北京市朝阳区", "谢谢您的订单", "价格包括运费", "王小明先生", "上海和广州",
        "星期五早上送到", "没有库存", "昨天账户已关闭", "这个月的销售额增长了", "新年快乐",
    ),
    "Taiwanese": (
        "臺北市中正區", "謝謝您的訂單", "價格包括運費", "陳小明先生", "高雄和臺中",
        "星期五早上送到", "沒有庫存", "昨天帳戶已關閉", "這個月的銷售額增長了", "新年快樂",
    ),
    "Korean": (
        "서울특별시 강남구", "주문해 주셔서 감사합니다", "가격은 배송비 포함입니다", "김철수", "부산과 대구",
        "금요일 아침에 도착합니다", "재고가 없습니다", "어제 계좌를 닫았습니다", "이번 달 매출이 늘었습니다", "새해 복 많이 받으세요",
    ),
}  # fmt: skip
WORDS: Final[dict[str, str]] = {
    "Spanish": "Begoña Logroño Peñíscola Cádiz Jerónimo Íñigo Coruña Vázquez Zúñiga Sebastián",
    "French": "Benoît Saint-Étienne Châlons Mégane Jérôme Françoise Angoulême Loïc Évry Gaël",
    "German": "Jürgen Düsseldorf Böhm Schäfer Weiß Lübeck Grünewald Mäder Köhler Würzburg",
    "Portuguese": "Simão Guimarães Conceição Brandão Luís Goiânia Fátima Estêvão Araújo Niterói",
    "Italian": "Niccolò Forlì Cantù Mondovì Salò Josè Patanè Viganò Nardò Cefalù",
    "Swedish": "Håkan Skellefteå Sjöberg Växjö Göran Mårten Åkerlund Södertälje Örebro Luleå",
    "Danish": "Søndergaard Næstved Ågård Kjær Jørgensen Helsingør Mølgaard Rønne Bæk Hillerød",
    "Finnish": "Hämäläinen Pärnänen Jyväskylä Seinäjoki Mäntylä Hyvinkää Järvi Hänninen Töyrylä Väyrynen",
    "Polish": "Wałęsa Zieliński Poznań Bydgoszcz-Łęgnowo Świętochłowice Józef Śląsk Rzeszów Żaneta Wójcik",
    "Czech": "Zdeněk Novák Třebíč Ostrava-Přívoz Božena Růžena Kroměříž Šťastný Žižkov Olomoučan",
    "Hungarian": "Nyíregyháza Zoltán Szőke Gergő Győző Tünde Kőszeg Hűvös Debreceni-Tőzsér Sümeg",
    "Romanian": "Ioniţă Piteşti Constanţa Ştefan Galaţi Mureşan Timişoara Rădulescu Bâra Bacău",
    "Croatian": "Mašić Čakovec Đakovo Jurišić Požega Sisačka Ružić Babić Ćosić Varaždin",
    "Turkish": "Gökhan Muğla Eskişehir Şanlıurfa Çağatay Özgür Yıldırım Diyarbakır Kırşehir İsmail",
    "Lithuanian": "Jonušas Panevėžys Alytaus-Šilas Žemaitis Mažeikiai Kėdainiai Lukšaitė Ąžuolynė Būtingė Rūta",
    "Russian": "Сергей Казань Ольга Воронеж Дмитрий Челябинск Наташа Кузнецов Омск Ярославль",
    "Ukrainian": "Тарас Одеса Оксана Чернівці Дніпро Сергій Запоріжжя Ганна Коваленко Житомир",
    "Bulgarian": "Стоян Бургас Пенка Русе Велизар Тодоров Плевен Десислава Стара-Загора Георги",
    "Greek": "Νίκος Πειραιάς Ελένη Ηράκλειο Κώστας Βόλος Δημήτρης Λάρισα Σοφία Καβάλα",
    "Hebrew": "חיפה יעקב באר שבע רחל נתניה משה אשדוד מרים יוסף",
    "Arabic": "الرياض علي دبي مريم بغداد حسن جدة خديجة بيروت يوسف",
    "Thai": "อุบลราชธานี ประยุทธ ขอนแก่น สุดา นครราชสีมา มานะ พัทยา วิชัย ลำปาง สมศรี",
    "Japanese": "佐藤 横浜市 高橋 名古屋 渡辺 札幌市 さくら 中村 福岡県 ケンタ",
    "Chinese": "李伟 广州市 张敏 深圳 刘洋 成都 陈静 杭州 黄磊 南京路",
    "Taiwanese": "林志明 桃園市 黃淑芬 新竹 張家豪 臺南 劉雅婷 基隆市 蔡英 花蓮縣",
    "Korean": "이영희 인천 박민수 광주광역시 최지우 대전 정현우 울산 한지민 수원시",
    "English": "café naïve résumé façade Zoë Brontë jalapeño fiancée déjà-vu Chloë",
}  # fmt: skip
"""Names and places, ten of each language; none of them stands in the texts."""
_WEST: Final = ("cp1252", "iso8859-15", "mac_roman", "cp850")
_MIDDLE: Final = ("cp1250", "iso8859-2", "cp852")
WRITTEN: Final[dict[str, tuple[str, ...]]] = {
    "English": ("cp1252", "mac_roman"),
    **dict.fromkeys(("Spanish", "French", "German", "Portuguese", "Italian", "Swedish", "Danish", "Finnish"), _WEST),
    **dict.fromkeys(("Polish", "Czech", "Hungarian", "Romanian", "Croatian"), _MIDDLE),
    "Turkish": ("cp1254", "iso8859-9"),
    "Lithuanian": ("cp1257",),
    "Russian": ("cp1251", "koi8-r", "cp866", "iso8859-5"),
    "Ukrainian": ("cp1251", "koi8-u"),
    "Bulgarian": ("cp1251",),
    "Greek": ("cp1253", "iso8859-7"),
    "Hebrew": ("cp1255",),
    "Arabic": ("cp1256",),
    "Thai": ("cp874",),
    "Japanese": ("cp932", "euc_jp"),
    "Chinese": ("gbk",),
    "Taiwanese": ("big5",),
    "Korean": ("euc_kr",),
}
LENGTHS: Final = (3, 50, 2_000)


class Case(NamedTuple):
    """A file."""

    language: str
    encoding: str
    rows: int
    data: bytes
    text: str


def few(count: int) -> Iterator[Case]:
    """Yield a CSV file of so many words, as files of names are, for each language, encoding and word to begin with."""
    for language, text in WORDS.items():
        words = text.split()
        for encoding in WRITTEN[language]:
            for begin in range(len(words)):
                lines = [f"{n},{words[(begin + n) % len(words)]}\n" for n in range(count)]
                data = ("id,name\n" + "".join(lines)).encode(encoding)
                yield Case(language, encoding, count, data, data.decode(encoding))


def cases(lengths: tuple[int, ...] = LENGTHS) -> Iterator[Case]:
    """Yield a CSV file for each language, encoding and length; of the shortest all that are made of three texts in a row."""
    for language, texts in TEXTS.items():
        for encoding in WRITTEN[language]:
            for rows in lengths:
                for begin in range(len(texts)) if rows < len(texts) else (0,):
                    lines = [f'{n},"{texts[(begin + n) % len(texts)]}",{n * 7 % 1000}.50\n' for n in range(rows)]
                    data = ("id,name,amount\n" + "".join(lines)).encode(encoding, "ignore")
                    yield Case(language, encoding, rows, data, data.decode(encoding))
